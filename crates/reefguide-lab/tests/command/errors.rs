//! Error messages, and output that cannot be written.

use std::process::{Command, Stdio};

use reefguide_lab::Lab;

use crate::lab_process::{COMMAND, LabProcess, run};

#[test]
fn error_messages_say_what_to_do() {
    let lab = LabProcess::start(&[]);
    let port = lab.endpoint.rsplit(':').next().unwrap();
    let mask = |text: String| text.replace(port, "PORT");
    insta::assert_snapshot!(mask(run(&["up", "--port", port]).1), @"error: the api server cannot listen on 127.0.0.1:PORT; choose another port (0 for a free one) or host: Address already in use (os error N)");
    insta::assert_snapshot!(mask(run(&["up", "--host", "0.0.0.0", "--port", port]).1), @r"
    warning: listening on 0.0.0.0: other machines may reach the lab, its passwords are public and nothing is protected
    error: the api server cannot listen on 0.0.0.0:PORT; choose another port (0 for a free one) or host: Address already in use (os error N)
    ");
    insta::assert_snapshot!(run(&["up", "--port", "0", "--s3-port", "0", "--schema", "MINE=missing.json"]).1, @"error: the schema file missing.json cannot be read: No such file or directory (os error N)");
    insta::assert_snapshot!(run(&["up", "--schema", "MINE"]).1, @r#"
    error: invalid value 'MINE' for '--schema <NAME=FILE>': expected NAME=FILE, such as COUNT_CORAL=count-coral.json

    For more information, try '--help'.
    "#);
    let submit = |input| run(&["submit", "COUNT", "--input", input, "--lab", &lab.endpoint]).1;
    insta::assert_snapshot!(submit("{}"), @"error: the lab refused with 400 Bad Request: no job type is called COUNT");
    insta::assert_snapshot!(submit("{"), @"error: payload in {: not JSON: EOF while parsing an object at line 1 column 1");
    insta::assert_snapshot!(submit("missing.json"), @"error: payload in missing.json: No such file or directory (os error N)");
    drop(lab);
    insta::assert_snapshot!(run(&["fault", "poll", "reset", "--lab", "http://127.0.0.1:1"]).1, @"error: no lab responds at http://127.0.0.1:1/; start one with `reefguide-lab up`, or pass its API with --lab: Connection refused (os error N)");
    insta::assert_snapshot!(run(&["fault", "nowhere", "reset"]).1, @r#"
    error: invalid value 'nowhere' for '[ROUTE]': no route is called `nowhere`; use one of login, token, profile, create, poll, assign, job, list, result, cancel, download, data-specification, timeout-jobs, health, api-other, s3-put, s3-create-upload, s3-upload-part, s3-complete-upload, s3-abort-upload, s3-get, s3-head, s3-delete, s3-list, s3-other, any-api, any-s3, any

    For more information, try '--help'.
    "#);
}

#[tokio::test]
async fn output_that_cannot_be_written_is_an_error() {
    let lab = Lab::builder().any_job_type().start().await.unwrap();
    let endpoint = lab.api_endpoint().to_owned();
    tokio::task::spawn_blocking(move || {
        let full = || {
            let full = std::fs::File::options().write(true).open("/dev/full");
            Stdio::from(full.unwrap())
        };
        let commands: [&[&str]; 6] = [
            &["--help"],
            &["--version"],
            &["up", "--help"],
            &["up", "--port", "0", "--s3-port", "0"],
            &["submit", "COUNT", "--input", "{\"reef\": 1}"],
            &["fault", "poll", "reset"],
        ];
        for arguments in commands {
            let run = |stdout: Stdio, stderr: Stdio| {
                let mut command = Command::new(COMMAND);
                command.args(arguments).env("API_ENDPOINT", &endpoint);
                let child = command.stdout(stdout).stderr(stderr).spawn().unwrap();
                child.wait_with_output().unwrap()
            };
            let output = run(full(), Stdio::piped());
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(74), "{arguments:?}: {stderr}");
            assert!(
                stderr.ends_with(
                    "stdout cannot be written: make room there, or redirect it to another place: \
                     No space left on device (os error 28)\n"
                ),
                "{arguments:?}: {stderr}"
            );
            // The error names the job that was created.
            assert_eq!(
                stderr.contains("job 1"),
                arguments[0] == "submit",
                "{stderr}"
            );
            assert_eq!(run(full(), full()).status.code(), Some(74), "{arguments:?}");
            if arguments != ["up", "--port", "0", "--s3-port", "0"] {
                let output = run(Stdio::piped(), full());
                assert_eq!(output.status.code(), Some(0), "{arguments:?}");
                let (reader, writer) = std::io::pipe().unwrap();
                drop(reader);
                let output = run(writer.into(), Stdio::piped());
                assert_eq!(output.status.code(), Some(0), "{arguments:?}");
            }
        }
        let wrong = |stderr: Stdio| Command::new(COMMAND).arg("wrong").stderr(stderr).status();
        assert_eq!(wrong(full()).unwrap().code(), Some(2));
    })
    .await
    .unwrap();
}
