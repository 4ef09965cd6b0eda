//! The help texts, the version and the schemas.

use crate::fixture::assert_shown;
use crate::program::Program;

async fn help(args: &[&str]) -> String {
    let exited = Program::bare().run(args).await;
    assert_eq!(exited.code, Some(0), "{}", exited.shown());
    assert_eq!(exited.stderr, "");
    exited.stdout
}

#[tokio::test]
async fn the_short_help_is_one_line_for_each_option() {
    assert_shown!(help(&["-h"]).await);
}

#[tokio::test]
async fn the_long_help_explains_every_setting() {
    assert_shown!(help(&["--help"]).await);
}

#[tokio::test]
async fn the_version_is_printed() {
    assert_shown!(help(&["--version"]).await);
}

#[tokio::test]
async fn every_command_has_its_own_help() {
    let mut all = String::new();
    for command in ["run", "handle", "schema", "check", "healthcheck"] {
        all += &format!("==> {command}\n{}\n", help(&[command, "--help"]).await);
    }
    assert_shown!(all);
}

#[tokio::test]
async fn schema_prints_the_schemas_of_all_handlers() {
    assert_shown!(help(&["schema"]).await);
}

#[tokio::test]
async fn schema_prints_the_schema_of_one_handler() {
    let schema: serde_json::Value = serde_json::from_str(&help(&["schema", "TEST"]).await).unwrap();
    let types: Vec<_> = schema.as_object().unwrap().keys().collect();
    assert_eq!(types, ["TEST"]);
}

#[tokio::test]
async fn the_schema_of_an_unknown_type_is_a_wrong_command_line() {
    let exited = Program::bare().run(&["schema", "CORAL"]).await;
    assert_eq!(exited.code, Some(2));
    assert_shown!(exited.shown());
}
