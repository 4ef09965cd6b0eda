//! Linters for the files that cargo does not read.

use std::process::Command;

use crate::tools::{has, root, run};
use crate::worker::{Answers, Worker};

/// Workers whose containers and workflows differ.
fn workers() -> Vec<Worker> {
    let ecs = |answers: Answers| answers.with("deployment", "ecs").with("ci", "github");
    let git = || Answers::default().with("sdk", "git");
    [
        ecs(Answers::new()),
        ecs(git()),
        ecs(git().with("handler_style", "program")),
        ecs(git().with("licence", "none")),
    ]
    .map(|answers| Worker::generate(&answers))
    .into()
}

#[test]
fn hadolint_finds_nothing_in_dockerfiles() {
    if !has("hadolint") {
        return;
    }
    run(Command::new("hadolint")
        .arg("Dockerfile")
        .current_dir(root()));
    for worker in workers() {
        run(Command::new("hadolint")
            .arg("Dockerfile")
            .current_dir(&worker.path));
    }
}

#[test]
fn the_task_definition_is_valid_cloudformation() {
    if !has("cfn-lint") {
        return;
    }
    for worker in workers() {
        run(Command::new("cfn-lint")
            .args(["--non-zero-exit-code", "informational", "deploy/ecs.yaml"])
            .current_dir(&worker.path));
    }
}

#[test]
fn workflows_and_compose_files_match_their_schemas() {
    if !has("check-jsonschema") {
        return;
    }
    let check = |schema: &str, worker: &Worker, file: &str| {
        run(Command::new("check-jsonschema")
            .args(["--builtin-schema", schema, file])
            .current_dir(&worker.path));
    };
    for worker in workers() {
        check(
            "vendor.github-workflows",
            &worker,
            ".github/workflows/ci.yml",
        );
        check(
            "vendor.github-workflows",
            &worker,
            ".github/workflows/image.yml",
        );
        check("vendor.compose-spec", &worker, "compose.yaml");
    }
    run(Command::new("check-jsonschema")
        .args([
            "--builtin-schema",
            "vendor.github-workflows",
            ".github/workflows/ci.yml",
        ])
        .current_dir(root()));
}
