//! `handle`: one handler on one payload, with no server and no settings.

use crate::program::{Ended, Program};
use crate::rig::assert_shown;

async fn handle_test(program: &Program, input: &'static str) -> Ended {
    let args = ["handle", "TEST", "--input", "-", "--output-dir", "out"];
    program.start_with_input(&args, input).ended().await
}

#[tokio::test]
async fn a_result_is_printed_and_the_outputs_are_in_the_folder() {
    let program = Program::bare();
    let ended = handle_test(&program, r#"{ "id": 7 }"#).await;
    assert_shown!(ended.shown());
    let written = std::fs::read_to_string(program.path("out/test.json")).unwrap();
    let written: serde_json::Value = serde_json::from_str(&written).unwrap();
    assert_eq!(written, serde_json::json!({ "id": 7.0 }));
}

#[tokio::test]
async fn a_payload_that_does_not_fit_fails_with_its_place() {
    let ended = handle_test(&Program::bare(), r#"{ "id": "seven" }"#).await;
    assert_eq!(ended.code, Some(1));
    assert_shown!(ended.shown());
}

#[tokio::test]
async fn a_handler_that_panics_has_failed() {
    let program = Program::bare().env("LOG_FORMAT", "human");
    let ended = handle_test(&program, r#"{ "id": 13 }"#).await;
    assert_eq!(ended.code, Some(1));
    assert_shown!(ended.shown());
}

#[tokio::test]
async fn a_payload_that_is_not_json_is_a_wrong_command_line() {
    let ended = handle_test(&Program::bare(), r#"{ "id": 7"#).await;
    assert_eq!(ended.code, Some(2));
    assert_shown!(ended.shown());
}

#[tokio::test]
async fn a_payload_that_is_not_there_is_a_wrong_command_line() {
    let args = [
        "handle",
        "TEST",
        "--input",
        "none.json",
        "--output-dir",
        "out",
    ];
    let ended = Program::bare().run(&args).await;
    assert_eq!(ended.code, Some(2));
    assert_shown!(ended.shown());
}

#[tokio::test]
async fn an_unknown_type_is_a_wrong_command_line() {
    let args = ["handle", "CORAL", "--input", "-", "--output-dir", "out"];
    let ended = Program::bare().run(&args).await;
    assert_eq!(ended.code, Some(2));
    assert_shown!(ended.shown());
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
    let args: Vec<_> = args.split(' ').collect();
    let ended = program.run(&args).await;
    assert_eq!(ended.code, Some(0), "{}", ended.shown());
    let result: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(result, serde_json::json!({ "bytes": 9 }));
    let copied = std::fs::read_to_string(program.path("out/copy")).unwrap();
    assert_eq!(copied, "heron,-4\n");
}

#[tokio::test]
async fn an_input_that_is_not_in_the_folder_is_named() {
    let program = Program::bare().file("payload.json", r#"{ "source": "s3://bucket/none.csv" }"#);
    let args = "handle COPY --input payload.json --output-dir out --storage-dir store";
    let args: Vec<_> = args.split(' ').collect();
    let ended = program.run(&args).await;
    assert_eq!(ended.code, Some(1));
    assert_shown!(ended.shown());
}

#[tokio::test]
async fn a_payload_may_come_from_an_editor_of_windows() {
    let input = "\u{feff}{\r\n  \"id\": 7\r\n}\r\n";
    let ended = handle_test(&Program::bare(), input).await;
    assert_eq!(ended.code, Some(0), "{}", ended.shown());
    let program = Program::bare().file("payload.json", input);
    let args = "handle TEST --input payload.json --output-dir out";
    let args: Vec<_> = args.split(' ').collect();
    let ended = program.run(&args).await;
    assert_eq!(ended.code, Some(0), "{}", ended.shown());
}
