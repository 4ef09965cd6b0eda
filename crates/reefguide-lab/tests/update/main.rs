//! Updates of a worker in a real git repository, from a template of a few files that a stand-in for cargo-generate copies.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "tests and what they share")]

use std::error::Error;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use reefguide_lab::update;
use tempfile::TempDir;

/// The file with what a worker was generated with.
const ANSWERS: &str = "template-answers.toml";

/// The stand-in for cargo.
const CARGO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/update/cargo.sh");

const OLD: [(&str, &str); 6] = [
    ("Cargo.toml", "[package]\n\n[dependencies]\n\n[features]\n"),
    ("Dockerfile", "FROM old\n"),
    ("OLD.md", "gone\n"),
    ("payloads/A.json", "{}\n"),
    ("src/handlers/a.rs", "// template\n"),
    (
        ANSWERS,
        "name = \"reef\"\ntemplate_version = \"0.1.0\"\nsdk = \"path\"\nsdk_path = \"sdk\"\n",
    ),
];

const NEW: [(&str, &str); 6] = [
    (
        "Cargo.toml",
        "[package]\nedition = \"2024\"\n\n[dependencies]\n\n[features]\n",
    ),
    ("Dockerfile", "FROM new\n"),
    ("NEW.md", "new\n"),
    ("payloads/A.json", "{\"new\": 1}\n"),
    ("src/handlers/a.rs", "// new template\n"),
    (
        ANSWERS,
        "name = \"reef\"\ntemplate_version = \"0.2.0\"\nsdk = \"path\"\nsdk_path = \"sdk\"\n",
    ),
];

/// A worker as generated from [`OLD`] and committed.
struct Worker {
    repository: TempDir,
    path: PathBuf,
    /// Has the stand-in for cargo, and a folder for each release of the template.
    template: TempDir,
}

impl Worker {
    /// At a place in its repository.
    fn at(place: &str) -> Self {
        let repository = tempfile::tempdir().unwrap();
        let path = repository.path().join(place);
        write_all(&path, &OLD);
        let template = tempfile::tempdir().unwrap();
        write_all(&template.path().join("v0.1.0"), &OLD);
        write_all(&template.path().join("v0.2.0"), &NEW);
        let worker = Self {
            repository,
            path,
            template,
        };
        symlink(CARGO, worker.cargo()).unwrap();
        worker.git(&["init", "--quiet"]);
        worker.commit();
        worker
    }

    fn new() -> Self {
        Self::at("")
    }

    fn cargo(&self) -> PathBuf {
        self.template.path().join("cargo")
    }

    /// The folders that releases were generated in.
    fn destinations(&self) -> Vec<PathBuf> {
        let file = self.template.path().join("destinations");
        let recorded = std::fs::read_to_string(file).unwrap_or_default();
        recorded.lines().map(PathBuf::from).collect()
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path.join(file), text).unwrap();
    }

    fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.path.join(file)).unwrap()
    }

    fn git(&self, arguments: &[&str]) -> String {
        git(self.repository.path(), arguments)
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "work"]);
    }

    fn status(&self) -> String {
        self.git(&["status", "--porcelain", "--untracked-files=all"])
    }

    /// An update for which `cargo` generates. The error is in the form in which the command prints it.
    async fn update_by(
        &self,
        cargo: &Path,
        tag: &str,
        repository: Option<&str>,
    ) -> Result<String, String> {
        let update = update::run(&self.path, tag, repository, cargo.as_os_str()).await;
        update.map_err(|error| chain(error.as_ref()))
    }

    /// An update to a release of the template in a repository.
    async fn update_to(&self, tag: &str, repository: &str) -> Result<String, String> {
        self.update_by(&self.cargo(), tag, Some(repository)).await
    }

    async fn update(&self) -> Result<String, String> {
        self.update_by(&self.cargo(), "v0.2.0", None).await
    }
}

/// An error with its causes, on one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}

/// git without the configuration of the person at this machine.
fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=author",
            "-c",
            "user.email=author@email.com",
        ])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn write_all(folder: &Path, files: &[(&str, &str)]) {
    for (file, text) in files {
        let file = folder.join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
}

#[tokio::test]
async fn the_new_template_is_staged_beside_the_authors_work() {
    let worker = Worker::new();
    worker.write(
        "Cargo.toml",
        "[package]\n\n[dependencies]\nmine = \"1\"\n\n[features]\n",
    );
    worker.write("src/handlers/a.rs", "// mine\n");
    worker.write("mine.txt", "mine\n");
    worker.commit();

    let update = worker.update().await.unwrap();
    insta::assert_snapshot!(update, @"updated from v0.1.0 to v0.2.0: see 'git diff --cached', run 'cargo update' and 'cargo test', then commit");
    insta::assert_snapshot!(worker.status(), @"
    M  Cargo.toml
    M  Dockerfile
    A  NEW.md
    D  OLD.md
    M  template-answers.toml
    ");
    let manifest = worker.text("Cargo.toml");
    assert!(
        manifest.contains("edition") && manifest.contains("mine"),
        "{manifest}"
    );
}

#[tokio::test]
async fn a_worker_in_a_folder_of_its_repository_is_updated_there() {
    let worker = Worker::at("workers/reef");
    std::fs::write(worker.repository.path().join("Dockerfile"), "FROM other\n").unwrap();
    worker.commit();
    worker.update().await.unwrap();
    insta::assert_snapshot!(worker.status(), @"
    M  workers/reef/Cargo.toml
    M  workers/reef/Dockerfile
    A  workers/reef/NEW.md
    D  workers/reef/OLD.md
    M  workers/reef/template-answers.toml
    ");
}

#[tokio::test]
async fn what_both_have_changed_is_a_conflict_that_can_be_undone() {
    let worker = Worker::new();
    worker.write("Dockerfile", "FROM mine\n");
    worker.write("OLD.md", "mine\n");
    worker.commit();

    let error = worker.update().await.unwrap_err();
    insta::assert_snapshot!(error, @"updated from v0.1.0 to v0.2.0 with conflicts in Dockerfile, OLD.md: resolve them (`git status` lists them), then commit; or undo the update with `git reset --hard`");
    let text = worker.text("Dockerfile");
    assert!(
        text.contains("FROM mine") && text.contains("FROM new"),
        "{text}"
    );
    worker.git(&["reset", "--quiet", "--hard"]);
    assert_eq!(worker.status(), "");
    assert_eq!(worker.text("Dockerfile"), "FROM mine\n");
}

#[tokio::test]
async fn a_file_that_git_ignores_is_not_overwritten() {
    let worker = Worker::new();
    worker.write(".gitignore", "NEW.md\n");
    worker.commit();
    worker.write("NEW.md", "mine\n");
    let error = worker.update().await.unwrap_err();
    insta::assert_snapshot!(error, @"the new template would overwrite files that git ignores: move NEW.md away first");
    assert_eq!(worker.text("NEW.md"), "mine\n");
    assert_eq!(worker.status(), "");
}

#[tokio::test]
async fn changes_that_are_not_committed_are_named_but_for_the_lock_file() {
    let worker = Worker::new();
    worker.write("Cargo.lock", "written by cargo\n");
    worker.write("notes.txt", "mine\n");
    worker.write("Dockerfile", "FROM mine\n");
    let error = worker.update().await.unwrap_err();
    insta::assert_snapshot!(error, @"commit or stash your changes first, so that the update can be told from them: Dockerfile, notes.txt");
    assert_eq!(worker.text("Dockerfile"), "FROM mine\n");

    std::fs::remove_file(worker.path.join("notes.txt")).unwrap();
    worker.git(&["checkout", "--quiet", "Dockerfile"]);
    worker.update().await.unwrap();
}

#[tokio::test]
async fn of_many_changed_files_only_the_first_are_named() {
    let worker = Worker::new();
    for nth in 1..=7 {
        worker.write(&format!("{nth}.txt"), "mine\n");
    }
    let error = worker.update().await.unwrap_err();
    let files = "1.txt, 2.txt, 3.txt, 4.txt, 5.txt and 2 more";
    assert!(error.ends_with(files), "{error}");
}

#[tokio::test]
async fn a_release_that_cannot_be_generated_changes_nothing_and_leaves_no_folder() {
    let worker = Worker::new();
    worker.git(&["tag", "v0.2.0"]);
    std::fs::remove_dir_all(worker.template.path().join("v0.2.0")).unwrap();
    let error = worker.update_to("v0.2.0", ".").await.unwrap_err();
    let repository = worker.path.canonicalize().unwrap();
    let error = error.replace(repository.to_str().unwrap(), "REPOSITORY");
    insta::assert_snapshot!(error, @"cargo-generate cannot generate v0.2.0 of REPOSITORY: see its message above");
    assert_eq!(worker.status(), "");
    let folders = worker.destinations();
    assert_eq!(folders.len(), 2);
    assert!(
        folders
            .iter()
            .all(|folder| !folder.parent().unwrap().exists())
    );
}

#[tokio::test]
async fn an_update_that_is_dropped_changes_nothing_and_leaves_no_folder() {
    let worker = Worker::new();
    std::fs::write(worker.template.path().join("wait"), "").unwrap();
    let started = async {
        while worker.destinations().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        _ = worker.update() => unreachable!("it waits for ever"),
        started = tokio::time::timeout(Duration::from_secs(60), started) => started.unwrap(),
    }
    let folder = &worker.destinations()[0];
    assert!(!folder.parent().unwrap().exists());
    assert_eq!(worker.status(), "");
}

#[tokio::test]
async fn a_folder_without_a_repository_is_named() {
    let worker = Worker::new();
    std::fs::remove_dir_all(worker.path.join(".git")).unwrap();
    let error = worker.update().await.unwrap_err();
    let error = error.replace(worker.path.to_str().unwrap(), "FOLDER");
    let (text, _) = error.split_once("; git says: ").unwrap();
    insta::assert_snapshot!(text, @"FOLDER is not a git repository that can be used: run `git init`, commit the worker's files, and try again");
}

#[tokio::test]
async fn a_program_that_is_missing_is_named_with_its_cause() {
    let worker = Worker::new();
    let cargo = Path::new("/no/such/cargo");
    let error = worker.update_by(cargo, "v0.2.0", None).await.unwrap_err();
    insta::assert_snapshot!(error, @"`/no/such/cargo` cannot be started: install it, and put it on PATH: No such file or directory (os error 2)");
}

#[tokio::test]
async fn a_release_that_does_not_exist_is_reported_with_those_that_do() {
    let worker = Worker::new();
    worker.git(&["tag", "v0.1.0"]);
    worker.git(&["tag", "--annotate", "--message", "new", "v0.2.0"]);
    let error = worker.update_to("v0.3.0", ".").await.unwrap_err();
    let repository = worker.path.canonicalize().unwrap();
    let error = error.replace(repository.to_str().unwrap(), "REPOSITORY");
    insta::assert_snapshot!(error, @"the template's repository REPOSITORY has no tag v0.3.0: name one of its tags (v0.1.0, v0.2.0), or fetch the tag into it");

    let error = worker.update_to("v0.3.0", "../none").await.unwrap_err();
    let (text, said) = error.split_once("; git says: ").unwrap();
    insta::assert_snapshot!(text, @"the template's repository ../none cannot be reached: correct it in template-answers.toml, or name another one with --repository");
    assert!(said.contains("none"), "{said}");
}
