//! Handlers that the second template adds.

use std::process::Command;

use crate::tools::{root, try_run};
use crate::worker::{Answers, Worker, cargo_generate, files};

#[test]
fn handlers_are_added_with_payload_and_registration() {
    let worker = Worker::generate(&Answers::new());
    let before = worker.files();
    worker.add_handler("CORAL_COUNT", "cpu").unwrap();
    worker.add_handler("BLEACHING", "async").unwrap();
    let output = worker.add_handler("MATCH", "program").unwrap();
    assert!(output.contains("the image lacks the program"), "{output}");

    let mut added = worker.files();
    added.retain(|file| !before.contains(file));
    insta::assert_snapshot!(added.join("\n"));
    insta::assert_snapshot!(worker.text("src/handlers/mod.rs"));
}

#[test]
fn a_list_that_its_author_has_changed_is_added_to() {
    let worker = Worker::generate(&Answers::new());
    worker.write(
        "src/handlers/mod.rs",
        "//! Handlers.\n\n\
         /// Depths.\nmod mean_depth;\nmod model;\n\n\
         use reefguide_worker::prelude::*;\n\n\
         /// Every handler of this worker.\n\
         pub fn registry() -> Registry {\n    \
             let model = model::load();\n    \
             Registry::new().extension(model).handler(mean_depth::MeanDepth {\n        \
                 model: 1,\n    \
             })\n\
         }\n\n\
         #[cfg(test)]\nmod tests {}\n",
    );
    worker.add_handler("CORAL_COUNT", "cpu").unwrap();
    insta::assert_snapshot!(worker.text("src/handlers/mod.rs"));
}

/// Every file of a worker with its text.
fn contents(worker: &Worker) -> Vec<(String, String)> {
    let read = |file: String| (file.clone(), worker.text(&file));
    worker.files().into_iter().map(read).collect()
}

#[test]
fn a_handler_that_cannot_be_added_leaves_the_worker_as_it_was() {
    let worker = Worker::generate(&Answers::new());
    let refused = |job_type: &str| {
        let before = contents(&worker);
        let output = worker.add_handler(job_type, "cpu").unwrap_err();
        assert_eq!(contents(&worker), before);
        let reason = output.lines().find(|line| line.starts_with('⛔')).unwrap();
        let (_, reason) = reason.split_once(" error: ").unwrap_or(("", reason));
        let (reason, _) = reason.split_once(" (line ").unwrap_or((reason, ""));
        reason.replace(worker.path.to_str().unwrap(), "[worker]")
    };
    insta::assert_snapshot!(refused("MEAN_DEPTH"), @"System command `sh register.sh '[worker]' MEAN_DEPTH mean_depth MeanDepth blocking cpu` failed to execute: src/handlers/mean_depth.rs exists: choose another job type, or edit that file");
    insta::assert_snapshot!(refused("mean_depth"), @"job_type is `mean_depth`: write it as the API does, in SCREAMING_SNAKE_CASE with A-Z, 0-9 and single underscores, such as MEAN_DEPTH");
    worker.write("src/handlers/mod.rs", "mod mean_depth;\n");
    insta::assert_snapshot!(refused("CORAL_COUNT"), @"System command `sh register.sh '[worker]' CORAL_COUNT coral_count CoralCount blocking cpu` failed to execute: src/handlers/mod.rs has no `mod …;` or no `fn registry(…)`: add the handler by hand");
    std::fs::remove_file(worker.path.join("src/handlers/mod.rs")).unwrap();
    insta::assert_snapshot!(refused("CORAL_COUNT"), @"System command `sh register.sh '[worker]' CORAL_COUNT coral_count CoralCount blocking cpu` failed to execute: [worker] is not a worker: it has no src/handlers/mod.rs. Run cargo generate in the worker's folder");
}

#[test]
fn without_permission_to_run_its_command_nothing_is_added() {
    let worker = Worker::generate(&Answers::new());
    let before = contents(&worker);
    let mut command: Command = cargo_generate();
    command
        .args(["--path", root().to_str().unwrap(), "template-handler"])
        .args(["--name", "handler", "--define", "job_type=CORAL_COUNT"])
        .current_dir(&worker.path);
    let output = try_run(&mut command).unwrap_err();
    assert!(output.contains("--allow-commands"), "{output}");
    assert_eq!(contents(&worker), before);
}

/// An added handler is the same as the first handler of a new worker.
#[test]
fn both_templates_have_the_same_handlers() {
    let read = |file: &str| std::fs::read_to_string(root().join(file)).unwrap();
    let worker = |file: &str| read(&format!("template/{file}"));
    let handler = |file: &str| read(&format!("template-handler/{file}"));
    for folder in ["payloads", "programs", "src/handlers"] {
        for file in files(&root().join("template-handler").join(folder)) {
            let file = format!("{folder}/{file}");
            assert!(worker(&file) == handler(&file), "{file} differs");
        }
    }
    assert!(
        worker("hooks/handler.rhai") == handler("handler.rhai"),
        "handler.rhai differs"
    );
}
