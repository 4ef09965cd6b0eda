//! A worker of an older template is brought to a newer one by the recipe that it came with.

use std::process::Command;

use crate::repository::Repository;
use crate::tools::{has, try_run};
use crate::worker::{Answers, NAME, Worker};

/// The template as it might have been a release ago, at v0.0.9, and as it is, at v0.1.0.
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
    let now: Vec<_> = files
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
    for (file, text) in now {
        std::fs::write(repository.file(file), text).unwrap();
    }
    std::fs::remove_file(repository.file("template/OLD.md")).unwrap();
    std::fs::write(repository.file("template/NEW.md"), "New in this release.\n").unwrap();
    repository.commit("Now");
    repository.tag("v0.1.0");
    repository
}

/// A worker of the old release, to which its author has done some work; nothing where the recipe cannot be run.
fn authored() -> Option<(Repository, Worker)> {
    if !has("just") {
        return None;
    }
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
    Some((repository, worker))
}

fn update(worker: &Worker) -> Result<String, String> {
    try_run(
        Command::new("just")
            .args(["update", "v0.1.0"])
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("USER", "author")
            .current_dir(&worker.path),
    )
}

#[test]
fn an_update_brings_the_new_template_and_keeps_the_authors_work() {
    let Some((repository, worker)) = authored() else {
        return;
    };
    let handlers = ["mod", "mean_depth", "coral_count"]
        .map(|name| format!("src/handlers/{name}.rs"))
        .map(|file| (worker.text(&file), file));
    let said = update(&worker).unwrap();
    assert!(said.contains("updated from v0.0.9 to v0.1.0"), "{said}");

    let current =
        Worker::generate(&Answers::new().with("sdk_path", repository.path().to_str().unwrap()));
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
fn what_author_and_template_both_changed_is_a_conflict_to_resolve() {
    let Some((_repository, worker)) = authored() else {
        return;
    };
    let main = worker.text("src/main.rs");
    worker.write("src/main.rs", &main.replace("// old", "// mine"));
    worker.git(&["commit", "--quiet", "--all", "--message", "My main"]);
    let said = update(&worker).unwrap_err();
    assert!(
        said.contains("with conflicts: resolve those that 'git status' lists"),
        "{said}"
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
    let Some((repository, worker)) = authored() else {
        return;
    };
    repository.untag("v0.1.0");
    let said = update(&worker).unwrap_err();
    assert!(!said.contains("updated"), "{said}");
    assert_eq!(worker.git(&["status", "--porcelain"]), "");
}

#[test]
fn an_update_waits_for_a_clean_tree() {
    let Some((_repository, worker)) = authored() else {
        return;
    };
    worker.write("notes.txt", "mine\n");
    let said = update(&worker).unwrap_err();
    assert!(
        said.contains("commit or stash your changes first"),
        "{said}"
    );
    assert!(worker.text("src/main.rs").contains("// old"));
}
