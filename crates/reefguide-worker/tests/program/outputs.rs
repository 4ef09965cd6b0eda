//! What a program returns: output files and a result.

use reefguide_worker::prelude::*;

use crate::{fails, harness_for, in_time, run, sh};

#[tokio::test]
async fn files_in_the_output_folder_are_outputs() {
    let script = r#"cd "$JOB_OUTPUT_DIR" && echo a >a.txt && mkdir maps && echo b >maps/b.txt"#;
    let finished = run(script).await.unwrap();
    assert_eq!(finished.output("a.txt").unwrap(), b"a\n");
    assert_eq!(finished.output("maps/b.txt").unwrap(), b"b\n");
    assert_eq!(finished.result(), &json!({}));
}

#[tokio::test]
async fn an_output_that_cannot_be_published_fails_the_job() {
    let error = fails(r#"ln -s /etc/hostname "$JOB_OUTPUT_DIR/link""#).await;
    assert!(
        error.to_string().contains("link is a symbolic link"),
        "{error}"
    );
}

#[tokio::test]
async fn a_result_may_begin_with_a_byte_order_mark() {
    let script = r#"printf '\357\273\277{"reef": 7}\r\n' >"$JOB_RESULT""#;
    assert_eq!(run(script).await.unwrap().result(), &json!({ "reef": 7 }));
}

#[derive(Debug, Deserialize, Serialize, JsonSchema)]
struct Counts {
    corals: Vec<u32>,
}

#[tokio::test]
async fn the_result_is_read_as_the_handlers_output() {
    let harness = harness_for::<Counts>(sh(r#"echo '{"corals":[1,2]}' >"$JOB_RESULT""#));
    let finished = in_time(harness.run(json!({}))).await.unwrap();
    assert_eq!(finished.result(), &json!({ "corals": [1, 2] }));

    let nothing = harness_for::<()>(sh("exit 0"));
    in_time(nothing.run(json!({}))).await.unwrap();
}

#[tokio::test]
async fn a_result_that_is_wrong_fails_the_job_with_the_place() {
    let mut errors = Vec::new();
    for script in [
        "exit 0",
        r#"echo '{"corals":[1,"two"]}' >"$JOB_RESULT""#,
        r#"echo '{"corals":[NaN]}' >"$JOB_RESULT""#,
        r#": >"$JOB_RESULT""#,
        r#"printf '{\0"\0c\0' >"$JOB_RESULT""#,
        r#"mkdir "$JOB_RESULT""#,
        r#"head -c 17000000 /dev/zero >"$JOB_RESULT""#,
    ] {
        let error = in_time(harness_for::<Counts>(sh(script)).run(json!({}))).await;
        errors.push(format!("{script}\n    {:?}", error.unwrap_err()));
    }
    insta::assert_snapshot!(errors.join("\n"));
}
