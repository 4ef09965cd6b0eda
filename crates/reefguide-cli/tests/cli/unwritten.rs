//! Output that cannot be written is an error.

use std::fs::File;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::fixture::CliFixture;

/// A file on a full disk.
fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

/// Commands that succeed, at least one of each kind. `logout` comes last.
const COMMANDS: [&[&str]; 19] = [
    &["--help"],
    &["--version"],
    &["submit", "--help"],
    &["login", "--email", "worker@email.com"],
    &["submit", "TEST", "--input", "{\"id\": 7}"],
    &["submit", "TEST", "--batch", "batch.jsonl"],
    &["jobs"],
    &["jobs", "--status", "failed"],
    &["show", "1"],
    &["watch", "1"],
    &["cancel", "2"],
    &["download", "1", "--to", "out", "--force"],
    &["download", "1", "--to", "out", "--only", "none"],
    &["doctor"],
    &["doctor", "--repair"],
    &["schema", "diff", "schemas.json", "--expected", "expected"],
    &["completions", "bash"],
    &["man", "--to", "man"],
    &["logout"],
];

/// A fixture with which all of them succeed.
async fn fixture() -> CliFixture {
    let cli = CliFixture::new().await;
    cli.log_in_as("worker@email.com");
    cli.finished_job(&[("a.json", b"{}".to_vec())]).await;
    cli.lab.submit("TEST", json!({ "id": 2 })).unwrap();
    cli.write("batch.jsonl", "{\"id\": 8}\n{\"id\": 9}\n");
    cli.write("schemas.json", "{}");
    cli
}

fn run(cli: &CliFixture, args: &[&str], stdout: Stdio, stderr: Stdio) -> Output {
    let mut command = cli.process(args);
    command
        .env("API_ENDPOINT", cli.lab.api_endpoint())
        .env("REEFGUIDE_PASSWORD", "password")
        .stdout(stdout)
        .stderr(stderr);
    command.spawn().unwrap().wait_with_output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_be_written_is_an_error() {
    let help = CliFixture::new().await.run(&["--help"]);
    let names = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    for line in names.take_while(|line| !line.is_empty()) {
        let name = line.split_whitespace().next().unwrap();
        assert!(COMMANDS.iter().any(|args| args[0] == name), "{name}");
    }
    for json in [false, true] {
        let cli = fixture().await;
        for args in COMMANDS {
            let json = json.then_some("--json");
            let args: Vec<_> = args.iter().copied().chain(json).collect();
            let output = run(&cli, &args, full().into(), Stdio::piped());
            let printed = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(74), "{args:?}: {printed}");
            let last = printed.lines().last().unwrap();
            let error = match json {
                None => last.strip_prefix("error: ").unwrap().to_owned(),
                Some(_) => {
                    let error: Value = serde_json::from_str(last).unwrap();
                    assert_eq!(error["exitCode"], 74);
                    error["error"].as_str().unwrap().to_owned()
                }
            };
            assert!(
                error.ends_with(
                    "stdout cannot be written: make room there, or redirect it to another place: \
                     No space left on device (os error 28)"
                ),
                "{args:?}: {error}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_stdout_and_a_full_stderr_are_not_errors() {
    let cli = fixture().await;
    for args in COMMANDS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = run(&cli, args, writer.into(), Stdio::piped());
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        assert!(
            output.stderr.is_empty() || args[0] == "doctor",
            "{args:?}: {output:?}"
        );
        if args[0] == "logout" {
            cli.log_in_as("worker@email.com");
        }
        if args[0] != "cancel" {
            let output = run(&cli, args, Stdio::piped(), full().into());
            assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
            assert!(!output.stdout.is_empty(), "{args:?}");
        }
        let output = run(&cli, &["show", "99"], full().into(), full().into());
        assert_eq!(
            output.status.code(),
            Some(if args[0] == "logout" { 77 } else { 1 })
        );
    }
    let output = run(&cli, &["nonsense"], full().into(), full().into());
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_but_cannot_be_printed_is_on_stderr() {
    let cli = fixture().await;
    let outcome = |args: &[&str]| cli.transcript(&run(&cli, args, full().into(), Stdio::piped()));
    insta::assert_snapshot!(outcome(&["submit", "TEST", "--input", "{\"id\": 7}"]));
    insta::assert_snapshot!(outcome(&[
        "submit",
        "TEST",
        "--input",
        "{\"id\": 7}",
        "--json"
    ]));
    insta::assert_snapshot!(outcome(&["submit", "TEST", "--batch", "batch.jsonl"]));
    // No further job is submitted once an id cannot be printed.
    assert_eq!(cli.lab.jobs().unwrap().len(), 4);
    insta::assert_snapshot!(outcome(&["cancel", "2", "3"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_an_error_that_names_the_file_and_leaves_nothing_behind() {
    let cli = fixture().await;
    cli.write("empty.json", "{}");
    cli.write(
        "schemas.json",
        "{\"TEST\": {\"input\": true, \"output\": true}}",
    );
    std::fs::create_dir(cli.path("expected")).unwrap();
    cli.write("expected/TEST.json", "{}");
    cli.write("expected/OLD.json", "{}");
    let session = std::fs::read(cli.path("session.json")).unwrap();
    let before = cli.files("");
    let logins = cli.lab.requests().len();
    let on_a_full_disk = |args: &[&str]| {
        let mut command = cli.process(&[]);
        let reefguide = command.get_program().to_owned();
        command = std::process::Command::new("bash");
        command
            .env_clear()
            .env("REEFGUIDE_CONFIG_DIR", cli.folder.path())
            .env("API_ENDPOINT", cli.lab.api_endpoint())
            .env("REEFGUIDE_PASSWORD", "password")
            .current_dir(cli.folder.path())
            // Without this, SIGXFSZ would end the process.
            .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "bash"])
            .arg(reefguide)
            .args(args);
        cli.transcript(&command.output().unwrap())
    };
    let login = on_a_full_disk(&["login", "--email", "worker@email.com"]);
    // No login is used up if the session cannot be saved.
    assert_eq!(cli.lab.requests().len(), logins);
    let update = [
        "schema",
        "diff",
        "schemas.json",
        "--expected",
        "expected",
        "--update",
    ];
    let printed = [
        login,
        on_a_full_disk(&["download", "1", "--to", "out"]),
        on_a_full_disk(&update),
        on_a_full_disk(&["man", "--to", "man"]),
    ];
    insta::assert_snapshot!(printed.join("\n"));
    assert_eq!(cli.files(""), before);
    assert_eq!(std::fs::read(cli.path("session.json")).unwrap(), session);
    let kept = std::fs::read_to_string(cli.path("expected/TEST.json")).unwrap();
    assert_eq!(kept, "{}");
}
