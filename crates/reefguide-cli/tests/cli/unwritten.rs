//! What is not written is no success.

use std::fs::File;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::desk::Desk;

/// A disk without room.
fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

/// Commands that succeed, at least one of each kind. The session is given up last.
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

/// A desk at which all of them succeed.
async fn desk() -> Desk {
    let desk = Desk::new().await;
    desk.log_in_as("worker@email.com");
    desk.done(&[("a.json", b"{}".to_vec())]).await;
    desk.lab.submit("TEST", json!({ "id": 2 })).unwrap();
    desk.write("batch.jsonl", "{\"id\": 8}\n{\"id\": 9}\n");
    desk.write("schemas.json", "{}");
    desk
}

fn run(desk: &Desk, args: &[&str], stdout: Stdio, stderr: Stdio) -> Output {
    let mut command = desk.process(args);
    command
        .env("API_ENDPOINT", desk.lab.api_endpoint())
        .env("REEFGUIDE_PASSWORD", "password")
        .stdout(stdout)
        .stderr(stderr);
    command.spawn().unwrap().wait_with_output().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_cannot_be_written_is_an_error() {
    let help = Desk::new().await.said(&["--help"]);
    let names = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    for line in names.take_while(|line| !line.is_empty()) {
        let name = line.split_whitespace().next().unwrap();
        assert!(COMMANDS.iter().any(|args| args[0] == name), "{name}");
    }
    for json in [false, true] {
        let desk = desk().await;
        for args in COMMANDS {
            let json = json.then_some("--json");
            let args: Vec<_> = args.iter().copied().chain(json).collect();
            let output = run(&desk, &args, full().into(), Stdio::piped());
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(74), "{args:?}: {said}");
            let last = said.lines().last().unwrap();
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
async fn whoever_hears_no_answer_needs_none_and_stderr_may_be_full() {
    let desk = desk().await;
    for args in COMMANDS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = run(&desk, args, writer.into(), Stdio::piped());
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        assert!(
            output.stderr.is_empty() || args[0] == "doctor",
            "{args:?}: {output:?}"
        );
        if args[0] == "logout" {
            desk.log_in_as("worker@email.com");
        }
        if args[0] != "cancel" {
            let output = run(&desk, args, Stdio::piped(), full().into());
            assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
            assert!(!output.stdout.is_empty(), "{args:?}");
        }
        let output = run(&desk, &["show", "99"], full().into(), full().into());
        assert_eq!(
            output.status.code(),
            Some(if args[0] == "logout" { 77 } else { 1 })
        );
    }
    let output = run(&desk, &["nonsense"], full().into(), full().into());
    assert_eq!(output.status.code(), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_and_cannot_be_printed_is_told_on_stderr() {
    let desk = desk().await;
    let told = |args: &[&str]| desk.told(&run(&desk, args, full().into(), Stdio::piped()));
    insta::assert_snapshot!(told(&["submit", "TEST", "--input", "{\"id\": 7}"]));
    insta::assert_snapshot!(told(&[
        "submit",
        "TEST",
        "--input",
        "{\"id\": 7}",
        "--json"
    ]));
    insta::assert_snapshot!(told(&["submit", "TEST", "--batch", "batch.jsonl"]));
    // No job is submitted whose id would be lost.
    assert_eq!(desk.lab.jobs().unwrap().len(), 4);
    insta::assert_snapshot!(told(&["cancel", "2", "3"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_for_which_there_is_no_room_are_errors_that_name_them_and_leave_nothing() {
    let desk = desk().await;
    desk.write("empty.json", "{}");
    desk.write(
        "schemas.json",
        "{\"TEST\": {\"input\": true, \"output\": true}}",
    );
    std::fs::create_dir(desk.path("expected")).unwrap();
    desk.write("expected/TEST.json", "{}");
    desk.write("expected/OLD.json", "{}");
    let session = std::fs::read(desk.path("session.json")).unwrap();
    let before = desk.files("");
    let logins = desk.lab.requests().len();
    let within_no_room = |args: &[&str]| {
        let mut command = desk.process(&[]);
        let reefguide = command.get_program().to_owned();
        command = std::process::Command::new("bash");
        command
            .env_clear()
            .env("REEFGUIDE_CONFIG_DIR", desk.folder.path())
            .env("API_ENDPOINT", desk.lab.api_endpoint())
            .env("REEFGUIDE_PASSWORD", "password")
            .current_dir(desk.folder.path())
            // A signal would end it otherwise.
            .args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$@\"", "bash"])
            .arg(reefguide)
            .args(args);
        desk.told(&command.output().unwrap())
    };
    let login = within_no_room(&["login", "--email", "worker@email.com"]);
    // No login is spent on a session that cannot be kept.
    assert_eq!(desk.lab.requests().len(), logins);
    let update = [
        "schema",
        "diff",
        "schemas.json",
        "--expected",
        "expected",
        "--update",
    ];
    let said = [
        login,
        within_no_room(&["download", "1", "--to", "out"]),
        within_no_room(&update),
        within_no_room(&["man", "--to", "man"]),
    ];
    insta::assert_snapshot!(said.join("\n"));
    assert_eq!(desk.files(""), before);
    assert_eq!(std::fs::read(desk.path("session.json")).unwrap(), session);
    let kept = std::fs::read_to_string(desk.path("expected/TEST.json")).unwrap();
    assert_eq!(kept, "{}");
}
