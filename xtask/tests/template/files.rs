//! The files of a generated worker and their contents.

use std::fmt::Write as _;

use crate::repository::Repository;
use crate::tools::root;
use crate::worker::{Answers, NAME, Worker};

#[test]
fn every_combination_has_the_files_that_were_asked_for() {
    let mut trees = String::new();
    for (name, answers) in Answers::combinations() {
        let files = Worker::generate(&answers).files().join("\n");
        writeln!(trees, "== {name}\n{files}\n").unwrap();
    }
    insta::assert_snapshot!(trees);
}

#[test]
fn every_file_is_rendered_and_tidy() {
    let mut all = Answers::combinations();
    for sdk in ["git", "crates.io"] {
        all.push((sdk.to_owned(), Answers::default().with("sdk", sdk)));
    }
    for licence in ["MIT", "Apache-2.0", "none"] {
        all.push((licence.to_owned(), Answers::new().with("licence", licence)));
    }
    for (name, answers) in all {
        let worker = Worker::generate(&answers);
        for file in worker.files() {
            let text = worker.text(&file);
            let at = format!("{file} ({name})");
            // just and GitHub Actions use double braces, too.
            let foreign = file == "justfile" || file.starts_with(".github/");
            assert!(foreign || !text.contains("{{"), "unrendered: {at}");
            assert!(!text.contains("{%"), "unrendered: {at}");
            // Python has two blank lines between functions.
            let blank = if file.ends_with(".py") {
                "\n\n\n\n"
            } else {
                "\n\n\n"
            };
            assert!(!text.contains(blank), "blank lines: {at}");
            assert!(!text.starts_with('\n'), "begins blank: {at}");
            assert!(text.ends_with('\n') && !text.ends_with("\n\n"), "end: {at}");
            let trailing = text.lines().find(|line| line.ends_with([' ', '\t']));
            assert_eq!(trailing, None, "trailing space: {at}");
        }
    }
}

#[test]
fn workflows_keep_the_expressions_of_github() {
    let worker = Worker::generate(&Answers::new());
    for file in ["ci.yml", "image.yml"] {
        let file = format!(".github/workflows/{file}");
        let ours = std::fs::read_to_string(root().join("template").join(&file)).unwrap();
        assert!(ours.contains("${{ github."), "{file}");
        assert_eq!(worker.text(&file), ours);
    }
}

#[test]
fn each_file_with_options_is_as_reviewed() {
    let minimal = Answers::default()
        .with("container", "false")
        .with("ci", "none")
        .with("licence", "none");
    let usual = Answers::default();
    let full = Answers::default()
        .with("description", "Counts corals, 100 % of them")
        .with("job_type", "CORAL_COUNT_2")
        .with("handler_style", "program")
        .with("deployment", "ecs")
        .with("licence", "MIT");
    let released = Answers::default()
        .with("sdk", "crates.io")
        .with("sdk_version", "0.1.0")
        .with("handler_style", "cpu");
    let cloned = Answers::default()
        .with("sdk", "path")
        .with("sdk_path", "../reefguide-worker");
    let reviewed: [(&str, &Answers, &[&str]); 5] = [
        (
            "minimal",
            &minimal,
            &[
                "Cargo.toml",
                "README.md",
                "justfile",
                "template-answers.toml",
            ],
        ),
        (
            "usual",
            &usual,
            &[
                ".dockerignore",
                "Cargo.toml",
                "Dockerfile",
                "LICENSE-MIT",
                "README.md",
                "compose.yaml",
                "justfile",
                "src/handlers/mean_depth.rs",
                "src/handlers/mod.rs",
                "src/main.rs",
                "template-answers.toml",
                "tests/worker.rs",
            ],
        ),
        (
            "full",
            &full,
            &[
                ".dockerignore",
                "Cargo.toml",
                "Dockerfile",
                "README.md",
                "deploy/ecs.yaml",
                "src/handlers/coral_count_2.rs",
                "template-answers.toml",
            ],
        ),
        (
            "released",
            &released,
            &[
                "Cargo.toml",
                "justfile",
                "src/handlers/mean_depth.rs",
                "src/handlers/mod.rs",
            ],
        ),
        (
            "cloned",
            &cloned,
            &[
                "Cargo.toml",
                "Dockerfile",
                "README.md",
                "compose.yaml",
                "justfile",
            ],
        ),
    ];
    for (name, answers, files) in reviewed {
        let worker = Worker::generate(answers);
        for file in files {
            insta::with_settings!({ snapshot_suffix => format!("{name}@{}", file.replace('/', "-")) }, {
                insta::assert_snapshot!("rendered", worker.text(file));
            });
        }
    }
}

#[test]
fn names_that_rust_reserves_are_avoided() {
    for (job_type, module, handler) in [
        ("MATCH", "match_job", "Match"),
        ("INPUT", "input", "InputJob"),
        ("SELF", "self_job", "SelfJob"),
        ("A1_B22", "a1_b22", "A1B22"),
    ] {
        let worker = Worker::generate(&Answers::new().with("job_type", job_type));
        let list = worker.text("src/handlers/mod.rs");
        assert!(list.contains(&format!("mod {module};")), "{list}");
        assert!(list.contains(&format!("{module}::{handler})")), "{list}");
        let file = worker.text(&format!("src/handlers/{module}.rs"));
        assert!(file.contains(&format!("pub struct {handler};")), "{file}");
    }
}

#[test]
fn recorded_answers_generate_the_same_worker_again() {
    let answers = Answers::new()
        .with("description", "Counts corals")
        .with("handler_style", "program")
        .with("deployment", "ecs");
    let first = Worker::generate(&answers);
    let again = Worker::generate_again(NAME, &first.path);
    assert_eq!(first.files(), again.files());
    for file in first.files() {
        assert_eq!(first.text(&file), again.text(&file), "{file}");
    }
}

#[test]
fn the_recorded_version_is_that_of_the_workspace() {
    let answers = Worker::generate(&Answers::new()).text("template-answers.toml");
    let version = format!("template_version = \"{}\"\n", env!("CARGO_PKG_VERSION"));
    assert!(answers.contains(&version), "{answers}");
    let questions = std::fs::read_to_string(root().join("template/cargo-generate.toml")).unwrap();
    assert!(questions.contains(&format!("default = \"{}\"\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn a_repository_offers_the_worker_first() {
    let repository = Repository::of_the_working_tree();
    let given = Worker::generate_by(NAME, |command| {
        command.arg("--git").arg(repository.path());
    });
    let named = Worker::generate(&Answers::default());
    assert_eq!(given.unwrap().files(), named.files());
    let given = Worker::generate_by(NAME, |command| {
        command.arg("--path").arg(repository.path());
    });
    assert_eq!(given.unwrap().files(), named.files());
}
