//! A command whose output cannot be written does not succeed.

use std::fs::File;
use std::process::{Output, Stdio};

use serde_json::json;

use crate::fixture::{closed_port, lab, worker_for};
use crate::program::{Program, in_time};

/// A file on a full disk.
fn full() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

async fn output_of(program: &Program, args: &[&str], stdout: Stdio, stderr: Stdio) -> Output {
    let mut command = program.command(args);
    let child = command.stdout(stdout).stderr(stderr).spawn().unwrap();
    in_time(child.wait_with_output()).await.unwrap()
}

const COMMANDS: [&[&str]; 8] = [
    &["-h"],
    &["--help"],
    &["--version"],
    &["check", "--help"],
    &["schema"],
    &["schema", "TEST"],
    &["check"],
    &[
        "handle",
        "TEST",
        "--input",
        "payload.json",
        "--output-dir",
        "out",
    ],
];

#[tokio::test]
async fn a_command_whose_answer_cannot_be_written_ends_with_74_and_says_so() {
    let lab = lab().await;
    lab.submit("TEST", json!({ "id": 1 })).unwrap();
    let program = worker_for(&lab).file("payload.json", "{\"id\": 1}");
    for args in COMMANDS {
        let output = output_of(&program, args, full().into(), Stdio::piped()).await;
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(74), "{args:?}: {said}");
        assert!(
            said.ends_with(
                "error: stdout cannot be written: make room there, or redirect it to another place: \
                 No space left on device (os error 28)\n"
            ),
            "{args:?}: {said}"
        );
        // If stderr cannot be written either, the exit code still says it.
        let output = output_of(&program, args, full().into(), full().into()).await;
        assert_eq!(output.status.code(), Some(74), "{args:?}: {output:?}");
        let output = output_of(&program, args, Stdio::piped(), full().into()).await;
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
        assert!(!output.stdout.is_empty(), "{args:?}");
    }
}

#[tokio::test]
async fn a_closed_stdout_pipe_is_no_error() {
    let lab = lab().await;
    let program = worker_for(&lab).file("payload.json", "{\"id\": 1}");
    for args in COMMANDS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = output_of(&program, args, writer.into(), Stdio::piped()).await;
        assert_eq!(output.status.code(), Some(0), "{args:?}: {output:?}");
    }
}

#[tokio::test]
async fn a_healthcheck_that_cannot_print_its_answer_ends_with_74() {
    let lab = lab().await;
    let (socket, port) = closed_port();
    drop(socket);
    let program = worker_for(&lab).env("PORT", port.to_string());
    let mut worker = program.start(&[]);
    worker.logs("serving health").await;
    let asking = Program::bare().env("PORT", port.to_string());
    let output = output_of(&asking, &["healthcheck"], full().into(), Stdio::piped()).await;
    assert_eq!(output.status.code(), Some(74), "{output:?}");
}
