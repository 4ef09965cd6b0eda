//! What the program says of itself.

use crate::program::Program;
use crate::rig::assert_shown;

async fn help(args: &[&str]) -> String {
    let ended = Program::bare().run(args).await;
    assert_eq!(ended.code, Some(0), "{}", ended.shown());
    assert_eq!(ended.stderr, "");
    ended.stdout
}

#[tokio::test]
async fn the_short_help() {
    assert_shown!(help(&["-h"]).await);
}

#[tokio::test]
async fn the_long_help_explains_every_setting() {
    assert_shown!(help(&["--help"]).await);
}

#[tokio::test]
async fn the_version() {
    assert_shown!(help(&["--version"]).await);
}

#[tokio::test]
async fn the_help_of_every_command() {
    let mut all = String::new();
    for command in ["run", "handle", "schema", "check", "healthcheck"] {
        all += &format!("==> {command}\n{}\n", help(&[command, "--help"]).await);
    }
    assert_shown!(all);
}

#[tokio::test]
async fn the_schemas_of_all_handlers() {
    assert_shown!(help(&["schema"]).await);
}

#[tokio::test]
async fn the_schema_of_one_handler_alone() {
    let schema: serde_json::Value = serde_json::from_str(&help(&["schema", "TEST"]).await).unwrap();
    let types: Vec<_> = schema.as_object().unwrap().keys().collect();
    assert_eq!(types, ["TEST"]);
}

#[tokio::test]
async fn the_schema_of_an_unknown_type_is_a_wrong_command_line() {
    let ended = Program::bare().run(&["schema", "CORAL"]).await;
    assert_eq!(ended.code, Some(2));
    assert_shown!(ended.shown());
}
