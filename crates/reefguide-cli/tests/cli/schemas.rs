use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::fixture::CliFixture;

fn schemas() -> Value {
    json!({
        "MEAN_DEPTH": {
            "input": {
                "title": "Input",
                "type": "object",
                "properties": { "depths": { "type": "array", "items": { "type": "number" } }, "unit": { "type": "string" } },
                "required": ["depths", "unit"],
            },
            "output": { "type": "object", "properties": { "mean": { "type": "number" } } },
        },
        "TEST": { "input": true, "output": { "type": "null" } },
    })
}

/// A worker that prints these schemas.
fn worker(cli: &CliFixture, schemas: &Value) {
    let script = format!("#!/bin/sh\n[ \"$*\" = schema ] && cat <<'END'\n{schemas:#}\nEND\n");
    // Written by another process: a program that this process or a child of it has open for writing cannot be run.
    let written = assert_cmd::Command::new("sh")
        .args(["-c", "cat >worker && chmod +x worker"])
        .current_dir(&cli.folder)
        .write_stdin(script)
        .output();
    assert!(written.unwrap().status.success());
    let mode = cli.path("worker").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o100, 0o100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_compared_with_the_expected_schemas() {
    let cli = CliFixture::new().await;
    let diff = ["schema", "diff", "worker", "--expected", "expected"];
    worker(&cli, &schemas());
    insta::assert_snapshot!("schema_new", cli.run(&diff));
    insta::assert_snapshot!(
        "schema_update",
        cli.run(&[&diff[..], &["--update"]].concat())
    );
    assert_eq!(cli.files("expected"), ["MEAN_DEPTH.json", "TEST.json"]);
    assert_eq!(cli.run(&diff), "exit 0\nthe schemas are as expected\n");

    let mut changed = schemas();
    let input = &mut changed["MEAN_DEPTH"]["input"];
    input["title"] = json!("Depths");
    input["required"] = json!(["unit", "depths"]);
    worker(&cli, &changed);
    assert_eq!(cli.run(&diff), "exit 0\nthe schemas are as expected\n");

    changed["MEAN_DEPTH"]["input"]["properties"]["depths"]["items"]["type"] = json!("integer");
    changed["MEAN_DEPTH"]["output"]["required"] = json!(["mean"]);
    changed["TIDE"] = json!({ "input": true, "output": true });
    changed.as_object_mut().unwrap().remove("TEST");
    worker(&cli, &changed);
    insta::assert_snapshot!("schema_changed", cli.run(&diff));
    let found = cli.json(&[&diff[..], &["--json"]].concat());
    assert_eq!(
        found[0],
        json!({
            "type": "MEAN_DEPTH", "path": "/input/properties/depths/items/type",
            "expected": "number", "given": "integer",
        })
    );
    cli.reefguide(&[&diff[..], &["--update"]].concat())
        .assert()
        .success();
    assert_eq!(cli.files("expected"), ["MEAN_DEPTH.json", "TIDE.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_that_a_worker_printed_can_stand_in_for_the_worker() {
    let cli = CliFixture::new().await;
    let printed = schemas().to_string();
    cli.write("schemas.json", &printed);
    let update = [
        "schema",
        "diff",
        "schemas.json",
        "--expected",
        "expected",
        "--update",
    ];
    cli.reefguide(&update).assert().success();
    let stdin = ["schema", "diff", "-", "--expected", "expected"];
    assert_eq!(
        cli.run_with_stdin(&stdin, &printed),
        "exit 0\nthe schemas are as expected\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_a_worker_is_an_error() {
    let cli = CliFixture::new().await;
    let diff = |worker: &str| cli.run(&["schema", "diff", worker, "--expected", "expected"]);
    insta::assert_snapshot!("schema_no_file", diff("none"));
    cli.write("text", "no JSON");
    insta::assert_snapshot!("schema_no_json", diff("text"));
    insta::assert_snapshot!("schema_program_fails", diff("/bin/false"));
    let escape = json!({ "../evil": {} }).to_string();
    let args = ["schema", "diff", "-", "--expected", "expected", "--update"];
    insta::assert_snapshot!("schema_evil_name", cli.run_with_stdin(&args, &escape));
}
