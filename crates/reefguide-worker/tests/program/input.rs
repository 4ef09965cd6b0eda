//! What a program receives: the payload, a folder and its environment.

use std::time::Duration;

use reefguide_worker::handler::WithheldVariables;
use reefguide_worker::prelude::*;
use reefguide_worker::testing::Harness;
use serde_json::Value;

use crate::{harness, in_time, run, sh};

#[tokio::test]
async fn the_payload_is_on_stdin_and_in_a_file() {
    let script = r#"printf '{"stdin":%s,"file":%s}' "$(cat)" "$(cat "$JOB_INPUT")" >"$JOB_RESULT""#;
    let finished = run(script).await.unwrap();
    let payload = json!({ "reef": 7 });
    assert_eq!(
        finished.result(),
        &json!({ "stdin": payload, "file": payload })
    );
}

#[tokio::test]
async fn a_program_need_not_read_a_large_payload() {
    let payload = "x".repeat(8 << 20);
    let harness = harness(sh("exec <&-; echo 1 >\"$JOB_RESULT\""));
    let finished = in_time(harness.run(&payload)).await.unwrap();
    assert_eq!(finished.result(), &json!(1));
}

#[tokio::test]
async fn a_program_runs_in_an_empty_folder_and_knows_its_job() {
    let script = r#"
        [ -z "$(ls -A)" ] || exit 1
        [ -d "$TMPDIR" ] && [ "$TMPDIR" = "$JOB_SCRATCH" ] || exit 2
        case "$PWD" in "$JOB_SCRATCH"/*) ;; *) exit 3 ;; esac
        printf '"%s %s %s %s %s"' "$JOB_ID" "$JOB_TYPE" "$JOB_ATTEMPT" "$JOB_ASSIGNMENT_ID" \
            "${JOB_DEADLINE_SECONDS-never}" >"$JOB_RESULT"
    "#;
    let finished = run(script).await.unwrap();
    assert_eq!(finished.result(), "1 CORAL 1 1 never");

    let limited = harness(sh(script)).time_limit(Duration::from_secs(1_000));
    let finished = in_time(limited.run(json!({}))).await.unwrap();
    assert_eq!(finished.result(), "1 CORAL 1 1 999");
}

#[tokio::test]
async fn an_input_with_a_float_that_json_does_not_have_is_named() {
    let harness = Harness::handler_fn("CORAL", |_: Value, ctx: JobContext| async move {
        sh("cat").run::<_, ()>(&[1.0, f64::INFINITY], &ctx).await
    });
    let error = in_time(harness.run(json!({}))).await.unwrap_err();
    insta::assert_snapshot!(error, @"input of sh at `[1]` is inf, which JSON does not have: use an `Option`");
}

#[tokio::test]
async fn withheld_variables_are_not_inherited_unless_the_program_sets_them() {
    // Cargo sets both for a test.
    let script = r#"echo "\"${CARGO_PKG_NAME-none} ${CARGO_PKG_VERSION-none}\"" >"$JOB_RESULT""#;
    let version = env!("CARGO_PKG_VERSION");
    let ran = async |program| {
        let withheld = WithheldVariables::from_iter(["CARGO_PKG_NAME"]);
        let harness = harness(program).extension(withheld);
        in_time(harness.run(json!({})))
            .await
            .unwrap()
            .result()
            .clone()
    };
    assert_eq!(ran(sh(script)).await, format!("none {version}"));
    let given = sh(script).env("CARGO_PKG_NAME", "given");
    assert!(!format!("{given:?}").contains("\"given\""));
    assert_eq!(ran(given).await, format!("given {version}"));
}
