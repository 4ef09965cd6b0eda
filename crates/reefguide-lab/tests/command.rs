//! The `reefguide-lab` command, run as a process of its own.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "tests and what they share")]

use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use reefguide_lab::Lab;
use serde_json::{Value, json};

const COMMAND: &str = env!("CARGO_BIN_EXE_reefguide-lab");

/// A lab on free ports, stopped with the test.
struct Up {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    endpoint: String,
}

impl Up {
    fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &std::env::var("PATH").unwrap())
    }

    fn start_with(arguments: &[&str], path: &str) -> Self {
        let mut child = Command::new(COMMAND)
            .args(["up", "--port", "0", "--s3-port", "0"])
            .args(arguments)
            .env("PATH", path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut up = Self {
            child,
            lines,
            endpoint: String::new(),
        };
        up.endpoint = up
            .line_with("API_ENDPOINT=")
            .trim_start_matches("API_ENDPOINT=")
            .to_owned();
        up
    }

    fn line_with(&mut self, part: &str) -> String {
        self.lines
            .by_ref()
            .map(Result::unwrap)
            .find(|line| line.contains(part))
            .unwrap()
    }
}

impl Up {
    /// Sends a signal by its name and waits for the end; whether it was a good one.
    fn stop(&mut self, signal: &str) -> bool {
        let id = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", signal, &id])
            .status()
            .unwrap();
        sent.success() && self.child.wait().unwrap().success()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            // Not killed outright: it has a folder to remove.
            self.stop("TERM");
        }
    }
}

/// Whether the command succeeded, and all it said, less what differs from system to system.
fn run(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(COMMAND)
        .args(arguments)
        .env_remove("API_ENDPOINT")
        .output()
        .unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let tidy = |line: &str| match line.split_once(" (os error ") {
        Some((reason, _)) => format!("{reason} (os error N)"),
        None => line.trim_end().to_owned(),
    };
    (
        output.status.success(),
        text.lines().map(tidy).collect::<Vec<_>>().join("\n"),
    )
}

#[tokio::test]
async fn a_lab_shows_its_requests_obeys_its_dials_and_ends_with_ctrl_c() {
    let mut up = Up::start(&["--any-type"]);
    up.line_with("MINIO_PASSWORD=minioadmin");
    let answer = reqwest::get(format!("{}/api/jobs/poll?jobType=ANY", up.endpoint))
        .await
        .unwrap();
    assert_eq!(answer.status(), 401);
    let line = up.line_with("/api/");
    assert!(
        line.contains("api 401") && line.ends_with("GET    /api/jobs/poll?jobType=ANY"),
        "{line}"
    );

    let dial = [
        "fault",
        "health",
        "status",
        "--status",
        "503",
        "--count",
        "1",
        "--lab",
        &up.endpoint,
    ];
    assert_eq!(run(&dial), (true, "health: status 503".to_owned()));
    assert_eq!(
        reqwest::get(format!("{}/api/", up.endpoint))
            .await
            .unwrap()
            .status(),
        503
    );
    assert!(up.line_with("503").ends_with("[status 503]"));

    let dial = |arguments: &[&str]| {
        let common = ["fault", "--count", "1", "--lab", &up.endpoint, "health"];
        run(&[&common, arguments].concat())
    };
    let set = |text: &str| (true, text.to_owned());
    assert_eq!(dial(&["page"]), set("health: page with status 200"));
    let to = "https://login.example/";
    assert_eq!(
        dial(&["redirect", "--location", to]),
        set("health: redirect 302 to https://login.example/")
    );
    let (taken, problem) = dial(&["redirect", "--status", "404"]);
    assert!(!taken && problem.contains("404 does not redirect: 301, 302, 303, 307 and 308 do"));
    let health = || async {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let asked = client.build().unwrap().get(format!("{}/api/", up.endpoint));
        asked.send().await.unwrap()
    };
    assert_eq!(health().await.headers()["content-type"], "text/html");
    assert_eq!(health().await.headers()["location"], to);

    assert!(up.stop("INT"));
}

#[tokio::test]
async fn the_labs_page_is_named_and_opened_on_demand() {
    let folder = tempfile::tempdir().unwrap();
    let said = folder.path().join("opened");
    let opener = folder.path().join("xdg-open");
    let script = format!(
        "#!/bin/sh\nprintf %s \"$1\" > '{0}.new' && mv '{0}.new' '{0}'\n",
        said.display()
    );
    std::fs::write(&opener, script).unwrap();
    std::fs::set_permissions(&opener, Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", folder.path().display());
    let mut up = Up::start_with(&["--open"], &path);
    let page = format!("{}/lab", up.endpoint);
    assert_eq!(up.line_with("page"), format!("# The lab's page: {page}"));
    let opened = async {
        while !said.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), opened)
        .await
        .unwrap();
    assert_eq!(std::fs::read_to_string(said).unwrap(), page);
}

#[test]
fn where_there_is_no_browser_the_lab_runs_on_and_says_so() {
    let mut child = Command::new(COMMAND)
        .args(["up", "--port", "0", "--s3-port", "0", "--open"])
        .env("PATH", "")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let warning = lines.next().unwrap().unwrap();
    assert!(
        warning.starts_with("warning: no browser could be started: "),
        "{warning}"
    );
    assert!(warning.ends_with("/lab in one"), "{warning}");
    assert!(child.try_wait().unwrap().is_none());
    let ended = Command::new("kill").arg(child.id().to_string()).status();
    assert!(ended.unwrap().success() && child.wait().unwrap().success());
}

#[test]
fn a_lab_on_all_addresses_ends_when_it_is_told_and_keeps_its_data() {
    for signal in ["TERM", "HUP"] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().to_str().unwrap();
        let mut up = Up::start(&["--host", "0.0.0.0", "--data", data]);
        assert!(up.endpoint.starts_with("http://127.0.0.1:"));
        assert!(up.stop(signal));
        assert!(folder.path().join("jobs.sqlite").is_file());
    }
}

#[tokio::test]
async fn a_lab_whose_requests_are_not_read_ends_at_the_second_signal() {
    let mut up = Up::start(&[]);
    let client = reqwest::Client::new();
    // Its lines are more than the pipe holds.
    for _ in 0..3_000 {
        let url = format!("{}/api", up.endpoint);
        client.get(url).send().await.unwrap();
    }
    let id = up.child.id().to_string();
    let patience = Instant::now() + Duration::from_secs(30);
    let ended = loop {
        // Two that come at once are one.
        let sent = Command::new("kill").arg(&id).status();
        sent.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        if let Some(ended) = up.child.try_wait().unwrap() {
            break ended.code();
        }
        assert!(Instant::now() < patience, "it still waits for its reader");
    };
    assert_eq!(ended, Some(143));
}

#[test]
fn a_folder_in_use_is_refused_and_free_once_its_lab_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let mut first = Up::start(&["--data", data]);
    let mut second = Command::new(COMMAND)
        .args(["up", "--port", "0", "--s3-port", "0", "--data", data])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut started = String::new();
    let mut stdout = BufReader::new(second.stdout.take().unwrap());
    stdout.read_line(&mut started).unwrap();
    second.kill().unwrap();
    let said = String::from_utf8(second.wait_with_output().unwrap().stderr).unwrap();
    assert_eq!(
        (started.as_str(), said.trim_end()),
        (
            "",
            format!(
                "error: another lab uses the data in {data}; stop that one, or give this one another folder"
            )
            .as_str()
        )
    );
    assert!(!first.stop("KILL"));
    assert!(Up::start(&["--data", data]).stop("TERM"));
}

#[tokio::test]
async fn a_job_is_submitted_once_and_watched_to_its_end() {
    let lab = Lab::builder().any_job_type().start().await.unwrap();
    let endpoint = lab.api_endpoint().to_owned();
    let submit = |input: &'static str, watch: bool| {
        let endpoint = endpoint.clone();
        let arguments = ["submit", "COUNT", "--lab", &endpoint, "--input", input];
        let watch = watch.then_some("--watch");
        let arguments: Vec<String> = arguments.into_iter().chain(watch).map(Into::into).collect();
        tokio::task::spawn_blocking(move || {
            run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
        })
    };
    let submitted = submit(r#"{"reef": 1}"#, false).await.unwrap();
    assert_eq!(submitted, (true, "job 1 is submitted".to_owned()));
    assert_eq!(lab.job(1).unwrap()["input_payload"], json!({ "reef": 1 }));

    let watching = submit(r#"{"reef": 1}"#, true);
    let client = reqwest::Client::new();
    let account = json!({ "email": "worker@email.com", "password": "password" });
    let login = client.post(format!("{endpoint}/api/auth/login"));
    let login: Value = login
        .json(&account)
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let cancel = client.post(format!("{endpoint}/api/jobs/1/cancel"));
    let cancel = cancel.bearer_auth(login["token"].as_str().unwrap());
    assert!(cancel.send().await.unwrap().status().is_success());
    let (succeeded, shown) = watching.await.unwrap();
    assert!(!succeeded);
    let (first, job) = shown.split_once('\n').unwrap();
    assert_eq!(
        first,
        "job 1 has the same type and payload: the API makes no second one"
    );
    let job: Value = serde_json::from_str(job).unwrap();
    assert_eq!(job["status"], "CANCELLED");
}

#[test]
fn what_goes_wrong_is_named_with_its_remedy() {
    let up = Up::start(&[]);
    let port = up.endpoint.rsplit(':').next().unwrap();
    let mask = |text: String| text.replace(port, "PORT");
    insta::assert_snapshot!(mask(run(&["up", "--port", port]).1), @"error: the api server cannot listen on 127.0.0.1:PORT; choose another port (0 for a free one) or host: Address already in use (os error N)");
    insta::assert_snapshot!(mask(run(&["up", "--host", "0.0.0.0", "--port", port]).1), @r"
    warning: listening on 0.0.0.0: other machines may reach the lab, its passwords are public and nothing is guarded
    error: the api server cannot listen on 0.0.0.0:PORT; choose another port (0 for a free one) or host: Address already in use (os error N)
    ");
    insta::assert_snapshot!(run(&["up", "--port", "0", "--s3-port", "0", "--schema", "MINE=missing.json"]).1, @"error: the schema file missing.json cannot be read: No such file or directory (os error N)");
    insta::assert_snapshot!(run(&["up", "--schema", "MINE"]).1, @r#"
    error: invalid value 'MINE' for '--schema <NAME=FILE>': expected NAME=FILE, such as COUNT_CORAL=count-coral.json

    For more information, try '--help'.
    "#);
    let submit = |input| run(&["submit", "COUNT", "--input", input, "--lab", &up.endpoint]).1;
    insta::assert_snapshot!(submit("{}"), @"error: the lab refused with 400 Bad Request: no job type is called COUNT");
    insta::assert_snapshot!(submit("{"), @"error: payload in {: not JSON: EOF while parsing an object at line 1 column 1");
    insta::assert_snapshot!(submit("missing.json"), @"error: payload in missing.json: No such file or directory (os error N)");
    drop(up);
    insta::assert_snapshot!(run(&["fault", "poll", "reset", "--lab", "http://127.0.0.1:1"]).1, @"error: no lab answers at http://127.0.0.1:1/; start one with `reefguide-lab up`, or name its API with --lab: Connection refused (os error N)");
    insta::assert_snapshot!(run(&["fault", "nowhere", "reset"]).1, @r#"
    error: invalid value 'nowhere' for '[ROUTE]': no route is called `nowhere`; there are login, token, profile, create, poll, assign, job, list, result, cancel, download, data-specification, timeout-jobs, health, api-other, s3-put, s3-create-upload, s3-upload-part, s3-complete-upload, s3-abort-upload, s3-get, s3-head, s3-delete, s3-list, s3-other, any-api, any-s3, any

    For more information, try '--help'.
    "#);
}

#[tokio::test]
async fn files_are_read_as_editors_save_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let marked = file("marked.json", b"\xef\xbb\xbf{\r\n}\r\n");
    let utf16 = file("utf16.json", b"\xff\xfe{\0}\0");
    let latin = file("latin.json", b"{\"reef\": \"\xe9\"}");
    let mut up = Up::start(&["--schema", &format!("COUNT={marked}")]);
    let submit = |input: &str| run(&["submit", "COUNT", "--input", input, "--lab", &up.endpoint]);
    assert_eq!(submit(&marked), (true, "job 1 is submitted".to_owned()));
    let refused = |(succeeded, said): (bool, String), problem: &str| {
        assert!(!succeeded && said.ends_with(problem), "{said}");
    };
    refused(submit(&utf16), ": it is UTF-16: save it as UTF-8");
    refused(submit(&latin), ": it is not UTF-8: save it as UTF-8");
    let schema = format!("COUNT={utf16}");
    let ports = ["up", "--port", "0", "--s3-port", "0", "--schema", &schema];
    refused(run(&ports), ": it is UTF-16: save it as UTF-8");
    assert!(up.stop("TERM"));
}

#[tokio::test]
async fn an_answer_that_cannot_be_written_is_an_error() {
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
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(74), "{arguments:?}: {said}");
            assert!(
                said.ends_with(
                    "stdout cannot be written: make room there, or redirect it to another place: \
                     No space left on device (os error 28)\n"
                ),
                "{arguments:?}: {said}"
            );
            // The job that was made is told all the same.
            assert_eq!(said.contains("job 1"), arguments[0] == "submit", "{said}");
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

#[test]
fn help_says_what_each_option_does() {
    insta::assert_snapshot!(run(&["up", "--help"]).1, @r#"
    Start a lab and show its requests until Ctrl-C

    Usage: reefguide-lab up [OPTIONS]

    Options:
          --host <ADDRESS>      Address that both servers listen on; in a container 0.0.0.0 [default: 127.0.0.1]
          --port <PORT>         Port of the job API; 0 takes a free one [default: 5000]
          --s3-port <S3_PORT>   Port of the S3 server; 0 takes a free one [default: 9000]
          --data <DIR>          Keep jobs and objects in this folder, and begin with what is there
          --any-type            Accept jobs of every type name
          --job-type <NAME>     Accept jobs of this type too, with any payload; may be repeated
          --schema <NAME=FILE>  Accept jobs of this type whose payload fits the JSON Schema in FILE; may be repeated
          --open                Open the lab's page in the browser
          --quiet               Show no requests
      -h, --help                Print help
    "#);
    insta::assert_snapshot!(run(&["submit", "--help"]).1, @r"
    Give a job to a running lab, with no account

    Usage: reefguide-lab submit [OPTIONS] --input <JSON|FILE|-> <JOB_TYPE>

    Arguments:
      <JOB_TYPE>  The job type

    Options:
          --input <JSON|FILE|->  The payload: JSON, a file with it, or `-` for stdin
          --watch                Wait for the job's end and show it; exit with 0 if it succeeded
          --lab <URL>            The lab's API [env: API_ENDPOINT=] [default: http://127.0.0.1:5000]
      -h, --help                 Print help
    ");
    insta::assert_snapshot!(run(&["fault", "--help"]).1, @r#"
    Set a fault dial of a running lab

    Usage: reefguide-lab fault [OPTIONS] [ROUTE] [KIND]

    Arguments:
      [ROUTE]
              Where it strikes: login, token, create, poll, assign, job, result, download, s3-put, s3-upload-part, s3-complete-upload, s3-get, any-api, any-s3, any, …

      [KIND]
              What goes wrong

              Possible values:
              - status:           Answered with `--status` as the server would, undone
              - page:             Answered by a proxy's HTML page with `--status`, undone
              - swapped-answer:   Handled, but a proxy's HTML page with `--status` is the answer
              - redirect:         Answered by a redirect to `--location`, undone
              - delay:            Handled after `--ms`
              - lost-answer:      Handled, but the connection is reset instead of an answer
              - reset:            The connection is reset, nothing done
              - stale-keep-alive: A reused connection is closed as the request comes
              - expire-tokens:    All access tokens end before the request is handled
              - slow-body:        The answer's body comes `--ms` after its head
              - slow-pieces:      Each piece of the answer's body comes after `--ms`
              - cut-body:         The connection is reset after `--bytes` of the answer's body
              - corrupt-body:     The byte after `--bytes` of the answer's body is another one
              - cut-upload:       The connection is reset after `--bytes` of the request's body, nothing done
              - corrupt-upload:   The byte after `--bytes` of the request's body is another one

    Options:
          --status <STATUS>
              The status to answer with, 200 to 599 [default: 500 for status, 200 for page and swapped-answer, 302 for redirect]

          --location <URL>
              Where a redirect points to; without it, to the same address with https

          --retry-after <SECONDS>
              Seconds of `Retry-After`, with a status

          --ms <MS>
              Milliseconds to wait, for a delay or a slow body

              [default: 1000]

          --bytes <BYTES>
              Bytes of a body that pass before it is cut or corrupted

              [default: 0]

          --count <COUNT>
              How often it strikes; without it, until the dials are cleared

          --skip <SKIP>
              How many requests pass before it strikes

              [default: 0]

          --clear
              Clear all dials first; with no route and kind, only that

          --lab <URL>
              The lab's API

              [env: API_ENDPOINT=]
              [default: http://127.0.0.1:5000]

      -h, --help
              Print help (see a summary with '-h')
    "#);
}
