//! `handle`: one handler on one payload, with no server and no settings.

use std::os::unix::fs::symlink;

use crate::fixture::{assert_shown, lab, worker_for};
use crate::program::{Exited, Program};

async fn handle_test(program: &Program, input: &'static str) -> Exited {
    let args = ["handle", "TEST", "--input", "-", "--output-dir", "out"];
    program.start_with_input(&args, input).exited().await
}

#[tokio::test]
async fn a_result_is_printed_and_the_outputs_are_in_the_folder() {
    let program = Program::bare();
    let exited = handle_test(&program, r#"{ "id": 7 }"#).await;
    assert_shown!(exited.shown());
    let written = std::fs::read_to_string(program.path("out/test.json")).unwrap();
    let written: serde_json::Value = serde_json::from_str(&written).unwrap();
    assert_eq!(written, serde_json::json!({ "id": 7.0 }));
}

#[tokio::test]
async fn a_payload_of_another_shape_fails_with_the_place_of_the_mistake() {
    let exited = handle_test(&Program::bare(), r#"{ "id": "seven" }"#).await;
    assert_eq!(exited.code, Some(1));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn a_handler_that_panics_fails() {
    let program = Program::bare().env("LOG_FORMAT", "human");
    let exited = handle_test(&program, r#"{ "id": 13 }"#).await;
    assert_eq!(exited.code, Some(1));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn a_payload_that_is_not_json_is_a_wrong_command_line() {
    let exited = handle_test(&Program::bare(), r#"{ "id": 7"#).await;
    assert_eq!(exited.code, Some(2));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn a_payload_that_is_not_there_is_a_wrong_command_line() {
    let line = "handle TEST --input none.json --output-dir out";
    let exited = Program::bare().run_line(line).await;
    assert_eq!(exited.code, Some(2));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn an_unknown_type_is_a_wrong_command_line() {
    let line = "handle CORAL --input - --output-dir out";
    let exited = Program::bare().run_line(line).await;
    assert_eq!(exited.code, Some(2));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn inputs_are_read_from_a_folder_in_place_of_s3() {
    let program = Program::bare();
    std::fs::create_dir_all(program.path("store/bucket/inputs")).unwrap();
    let program = program
        .file("store/bucket/inputs/soundings.csv", "heron,-4\n")
        .file(
            "payload.json",
            r#"{ "source": "s3://bucket/inputs/soundings.csv" }"#,
        );
    let args = "handle COPY --input payload.json --output-dir out --storage-dir store";
    let exited = program.run_line(args).await;
    assert_eq!(exited.code, Some(0), "{}", exited.shown());
    let result: serde_json::Value = serde_json::from_str(&exited.stdout).unwrap();
    assert_eq!(result, serde_json::json!({ "bytes": 9 }));
    let copied = std::fs::read_to_string(program.path("out/copy")).unwrap();
    assert_eq!(copied, "heron,-4\n");
}

#[tokio::test]
async fn a_missing_input_is_named() {
    let program = Program::bare().file("payload.json", r#"{ "source": "s3://bucket/none.csv" }"#);
    std::fs::create_dir(program.path("store")).unwrap();
    let args = "handle COPY --input payload.json --output-dir out --storage-dir store";
    let exited = program.run_line(args).await;
    assert_eq!(exited.code, Some(1));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn a_payload_may_have_a_byte_order_mark_and_windows_line_ends() {
    let input = "\u{feff}{\r\n  \"id\": 7\r\n}\r\n";
    let exited = handle_test(&Program::bare(), input).await;
    assert_eq!(exited.code, Some(0), "{}", exited.shown());
    let program = Program::bare().file("payload.json", input);
    let args = "handle TEST --input payload.json --output-dir out";
    let exited = program.run_line(args).await;
    assert_eq!(exited.code, Some(0), "{}", exited.shown());
}

#[tokio::test]
async fn outputs_go_where_a_symbolic_link_points() {
    let program = Program::bare().unruly();
    let program = program.file(
        "job.json",
        r#"{ "script": "echo well >$JOB_OUTPUT_DIR/a.txt" }"#,
    );
    std::fs::create_dir(program.path("elsewhere")).unwrap();
    symlink("elsewhere", program.path("out")).unwrap();
    let args = "handle PLAIN --input job.json --output-dir out";
    let exited = program.run_line(args).await;
    assert_eq!(exited.code, Some(0), "{}", exited.shown());
    assert!(program.path("elsewhere/a.txt").is_file());
}

#[tokio::test]
async fn an_unusable_folder_is_named_with_the_reason() {
    let program = Program::bare().file("file", "this is not a folder");
    symlink("nowhere", program.path("link")).unwrap();
    let usual = ["handle", "TEST", "--input=-", "--output-dir=out"];
    let mut said = String::new();
    for folder in ["link", "link/below", "file", "file/below", "none"] {
        for name in ["--storage-dir", "--output-dir"] {
            let others = usual.iter().filter(|other| !other.starts_with(name));
            let arg = format!("{name}={folder}");
            let args: Vec<_> = others.copied().chain([arg.as_str()]).collect();
            let exited = program
                .start_with_input(&args, r#"{ "id": 7 }"#)
                .exited()
                .await;
            said += &format!("{arg}\n{}\n", exited.shown());
        }
    }
    assert_shown!(said);
    for name in ["DATA_SCRATCH_SPACE", "CACHE_PATH"] {
        let lab = lab().await;
        let program = worker_for(&lab).env(name, "link/below");
        symlink("nowhere", program.path("link")).unwrap();
        let exited = program.run(&[]).await;
        assert_eq!(exited.code, Some(78));
        let reason = "link is a symbolic link to nowhere, which is not there";
        assert!(exited.stderr.contains(reason), "{}", exited.stderr);
    }
}

#[tokio::test]
async fn a_tilde_that_no_shell_has_replaced_is_a_wrong_command_line() {
    let usual = ["handle", "TEST", "--input=-", "--output-dir=out"];
    for arg in [
        "--input=~/in.json",
        "--output-dir=~/out",
        "--storage-dir=~",
        "--config=~/worker.toml",
        "--env-file=~/.env",
    ] {
        let name = arg.split('~').next().unwrap();
        let others = usual.iter().filter(|other| !other.starts_with(name));
        let args: Vec<_> = others.copied().chain([arg]).collect();
        let exited = Program::bare().run(&args).await;
        assert_eq!(exited.code, Some(2), "{}", exited.shown());
        assert!(
            exited.stderr.contains("only a shell expands `~`"),
            "{}",
            exited.shown()
        );
    }
}

#[tokio::test]
async fn an_empty_tmpdir_counts_as_unset() {
    let program = Program::bare().env("TMPDIR", "").unruly();
    let program = program.file(
        "job.json",
        r#"{ "script": "echo \"\\\"$TMPDIR\\\"\" >\"$JOB_RESULT\"" }"#,
    );
    let args = "handle PLAIN --input job.json --output-dir out";
    let exited = program.run_line(args).await;
    assert_eq!(exited.code, Some(0), "{}", exited.shown());
    assert!(
        exited.stdout.starts_with("\"/tmp/reefguide-worker-"),
        "{}",
        exited.shown()
    );
}

#[tokio::test]
async fn a_suspicious_setting_is_logged() {
    let program = Program::bare().env("S3_BUCKET", "reef");
    let exited = handle_test(&program, r#"{ "id": 7 }"#).await;
    assert_eq!(exited.code, Some(0));
    let log = exited.log();
    let line = log
        .iter()
        .find(|line| line["message"] == "setting looks wrong");
    assert_eq!(line.unwrap()["setting"], "S3_BUCKET");
    assert!(
        exited.stderr.contains("did you mean S3_BUCKET_NAME?"),
        "{}",
        exited.stderr
    );
}
