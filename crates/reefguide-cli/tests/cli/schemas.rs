use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::desk::Desk;

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
fn worker(desk: &Desk, schemas: &Value) {
    let script = format!("#!/bin/sh\n[ \"$*\" = schema ] && cat <<'END'\n{schemas:#}\nEND\n");
    // Written by a process of its own: a file that this one has open, or a child of it, cannot be run.
    let written = assert_cmd::Command::new("sh")
        .args(["-c", "cat >worker && chmod +x worker"])
        .current_dir(&desk.folder)
        .write_stdin(script)
        .output();
    assert!(written.unwrap().status.success());
    let mode = desk.path("worker").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o100, 0o100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_compared_with_what_is_expected_of_it() {
    let desk = Desk::new().await;
    let diff = ["schema", "diff", "worker", "--expected", "expected"];
    worker(&desk, &schemas());
    insta::assert_snapshot!("schema_new", desk.said(&diff));
    insta::assert_snapshot!(
        "schema_update",
        desk.said(&[&diff[..], &["--update"]].concat())
    );
    assert_eq!(desk.files("expected"), ["MEAN_DEPTH.json", "TEST.json"]);
    assert_eq!(desk.said(&diff), "exit 0\nthe schemas are as expected\n");

    let mut changed = schemas();
    let input = &mut changed["MEAN_DEPTH"]["input"];
    input["title"] = json!("Depths");
    input["required"] = json!(["unit", "depths"]);
    worker(&desk, &changed);
    assert_eq!(desk.said(&diff), "exit 0\nthe schemas are as expected\n");

    changed["MEAN_DEPTH"]["input"]["properties"]["depths"]["items"]["type"] = json!("integer");
    changed["MEAN_DEPTH"]["output"]["required"] = json!(["mean"]);
    changed["TIDE"] = json!({ "input": true, "output": true });
    changed.as_object_mut().unwrap().remove("TEST");
    worker(&desk, &changed);
    insta::assert_snapshot!("schema_changed", desk.said(&diff));
    let found = desk.json(&[&diff[..], &["--json"]].concat());
    assert_eq!(
        found[0],
        json!({
            "type": "MEAN_DEPTH", "path": "/input/properties/depths/items/type",
            "expected": "number", "given": "integer",
        })
    );
    desk.reefguide(&[&diff[..], &["--update"]].concat())
        .assert()
        .success();
    assert_eq!(desk.files("expected"), ["MEAN_DEPTH.json", "TIDE.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_worker_printed_before_is_as_good_as_the_worker() {
    let desk = Desk::new().await;
    let printed = schemas().to_string();
    desk.write("schemas.json", &printed);
    let update = [
        "schema",
        "diff",
        "schemas.json",
        "--expected",
        "expected",
        "--update",
    ];
    desk.reefguide(&update).assert().success();
    let stdin = ["schema", "diff", "-", "--expected", "expected"];
    assert_eq!(
        desk.said_of(&stdin, &printed),
        "exit 0\nthe schemas are as expected\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_worker_is_said() {
    let desk = Desk::new().await;
    let diff = |worker: &str| desk.said(&["schema", "diff", worker, "--expected", "expected"]);
    insta::assert_snapshot!("schema_no_file", diff("none"));
    desk.write("text", "no JSON");
    insta::assert_snapshot!("schema_no_json", diff("text"));
    insta::assert_snapshot!("schema_program_fails", diff("/bin/false"));
    let escape = json!({ "../evil": {} }).to_string();
    let args = ["schema", "diff", "-", "--expected", "expected", "--update"];
    insta::assert_snapshot!("schema_evil_name", desk.said_of(&args, &escape));
}
