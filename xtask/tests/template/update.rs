//! Workers of an older template, updated by the example that they came with.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use tempfile::TempDir;

use crate::repository::Repository;
use crate::tools::{root, run, try_run};
use crate::worker::{Answers, NAME, Worker};

/// A repository with an older template, tagged v0.0.9, and the current one, tagged v0.1.0.
fn two_releases() -> Repository {
    let repository = Repository::of_the_working_tree();
    let current = |file: &str| std::fs::read_to_string(repository.file(file)).unwrap();
    let files = [
        ("template/template-answers.toml.liquid", "0.1.0", "0.0.9"),
        (
            "template/Dockerfile.liquid",
            "STOPSIGNAL SIGTERM",
            "STOPSIGNAL SIGINT",
        ),
        (
            "template/src/main.rs.liquid",
            "mod handlers;",
            "mod handlers; // old",
        ),
        ("template/src/handlers/async.rs.liquid", "averages", "sums"),
    ];
    let new: Vec<_> = files
        .iter()
        .map(|(file, ..)| (*file, current(file)))
        .collect();
    for (file, from, to) in files {
        repository.replace(file, from, to);
    }
    std::fs::write(
        repository.file("template/OLD.md"),
        "Gone in the next release.\n",
    )
    .unwrap();
    repository.commit("A release ago");
    repository.tag("v0.0.9");
    for (file, text) in new {
        std::fs::write(repository.file(file), text).unwrap();
    }
    std::fs::remove_file(repository.file("template/OLD.md")).unwrap();
    std::fs::write(repository.file("template/NEW.md"), "New in this release.\n").unwrap();
    repository.commit("This release");
    repository.tag("v0.1.0");
    repository
}

/// The template's `examples/update.rs`, built once: every worker has the same.
static UPDATE: LazyLock<PathBuf> = LazyLock::new(|| {
    let mut build = Command::new("cargo");
    build
        .args(["build", "--quiet", "--package", "example-worker"])
        .args(["--example", "update"])
        .env("CARGO_TARGET_DIR", root().join("target"))
        .current_dir(root());
    run(&mut build);
    root().join("target/debug/examples/update")
});

/// A worker of the old release that its author has edited.
struct Fixture {
    repository: Repository,
    worker: Worker,
    temporary: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let repository = two_releases();
        let answers = [
            "sdk=path".to_owned(),
            format!("sdk_path={}", repository.path().display()),
        ];
        let worker = Worker::generate_by(NAME, |command| {
            command
                .arg("--git")
                .arg(repository.path())
                .args(["--tag", "v0.0.9", "template"])
                .args(answers.iter().flat_map(|answer| ["--define", answer]));
        })
        .unwrap();
        assert!(worker.text("src/main.rs").contains("// old"));
        worker.git(&["init", "--quiet"]);
        worker.git(&["add", "--all"]);
        worker.git(&["commit", "--quiet", "--message", "As generated"]);

        let handler = worker.text("src/handlers/mean_depth.rs");
        worker.write(
            "src/handlers/mean_depth.rs",
            &handler.replace("sums", "my own"),
        );
        worker.add_handler("CORAL_COUNT", "cpu").unwrap();
        let manifest = worker.text("Cargo.toml");
        worker.write(
            "Cargo.toml",
            &manifest.replace(
                "serde_json = \"1\"\n",
                "regex = \"1\"\nserde_json = \"1\"\n",
            ),
        );
        worker.git(&["add", "--all"]);
        worker.git(&["commit", "--quiet", "--message", "My work"]);
        Self {
            repository,
            worker,
            temporary: tempfile::tempdir().unwrap(),
        }
    }

    /// The command as `cargo run --example update` starts it.
    fn command(&self, tag: &str) -> Command {
        let mut command = Command::new(&*UPDATE);
        command
            .arg(tag)
            .env("CARGO_MANIFEST_DIR", &self.worker.path)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("TMPDIR", self.temporary.path())
            .env("USER", "author");
        command
    }

    /// Updates to the new release. The update removes its temporary files, even if it fails.
    fn update(&self) -> Result<String, String> {
        self.run(&mut self.command("v0.1.0"))
    }

    fn run(&self, command: &mut Command) -> Result<String, String> {
        let output = try_run(command);
        let left = self.temporary.path().read_dir().unwrap().count();
        assert_eq!(left, 0, "{output:?}");
        output
    }

    /// The error of an update that changes nothing.
    fn refused(&self, command: &mut Command) -> String {
        let output = self.run(command).unwrap_err();
        assert_eq!(self.worker.git(&["status", "--porcelain"]), "");
        assert!(!output.contains("updated"), "{output}");
        output.replace(self.repository.path().to_str().unwrap(), "REPOSITORY")
    }
}

#[test]
fn an_update_applies_the_new_template_and_keeps_the_authors_work() {
    let fixture = Fixture::new();
    let worker = &fixture.worker;
    let handlers = ["mod", "mean_depth", "coral_count"]
        .map(|name| format!("src/handlers/{name}.rs"))
        .map(|file| (worker.text(&file), file));
    let output = fixture.update().unwrap();
    assert!(output.contains("updated from v0.0.9 to v0.1.0"), "{output}");

    let clone = fixture.repository.path().to_str().unwrap();
    let current = Worker::generate(&Answers::new().with("sdk_path", clone));
    for file in ["Dockerfile", "src/main.rs", "template-answers.toml"] {
        assert_eq!(worker.text(file), current.text(file), "{file}");
    }
    assert_eq!(worker.text("NEW.md"), "New in this release.\n");
    assert!(!worker.path.join("OLD.md").exists());
    assert!(worker.text("Cargo.toml").contains("regex = \"1\"\n"));
    for (text, file) in handlers {
        assert_eq!(worker.text(&file), text);
    }
    let staged = worker.git(&["diff", "--cached", "--name-only"]);
    insta::assert_snapshot!(staged);
    assert_eq!(
        worker
            .git(&["status", "--porcelain", "--untracked-files=all"])
            .lines()
            .count(),
        staged.lines().count()
    );
}

#[test]
fn lines_that_both_author_and_template_changed_are_a_conflict_to_resolve() {
    let fixture = Fixture::new();
    let worker = &fixture.worker;
    let main = worker.text("src/main.rs");
    worker.write("src/main.rs", &main.replace("// old", "// mine"));
    worker.git(&["commit", "--quiet", "--all", "--message", "My main"]);
    let output = fixture.update().unwrap_err();
    assert!(
        output.contains("with conflicts in src/main.rs: resolve them (`git status` lists them)"),
        "{output}"
    );
    assert_eq!(
        worker.git(&["diff", "--name-only", "--diff-filter=U"]),
        "src/main.rs\n"
    );
    assert!(worker.text("src/main.rs").contains("// mine"));
    assert!(worker.text("Dockerfile").contains("STOPSIGNAL SIGTERM"));
}

#[test]
fn an_update_to_a_release_that_does_not_exist_changes_nothing() {
    let fixture = Fixture::new();
    let output = fixture.refused(&mut fixture.command("v0.3.0"));
    assert!(
        output.contains("REPOSITORY has no tag v0.3.0: name one of its tags (v0.0.9, v0.1.0)"),
        "{output}"
    );
}

#[test]
fn a_template_that_cannot_be_reached_is_named_with_its_address() {
    let fixture = Fixture::new();
    let elsewhere = ["--repository", "file:///none/sdk"];
    let output = fixture.refused(fixture.command("v0.1.0").args(elsewhere));
    assert!(
        output.contains("the template's repository file:///none/sdk cannot be reached"),
        "{output}"
    );
}

#[test]
fn without_cargo_generate_the_command_that_installs_it_is_named() {
    let fixture = Fixture::new();
    let output = fixture.refused(fixture.command("v0.1.0").env("CARGO", "false"));
    assert!(
        output.contains("run `cargo install cargo-generate --locked`"),
        "{output}"
    );
}

#[test]
fn an_update_needs_a_clean_tree() {
    let fixture = Fixture::new();
    fixture.worker.write("notes.txt", "mine\n");
    let output = fixture.update().unwrap_err();
    assert!(
        output.contains("commit or stash your changes first, so that the update can be told from them: notes.txt"),
        "{output}"
    );
    assert!(fixture.worker.text("src/main.rs").contains("// old"));
}
