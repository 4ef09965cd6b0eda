//! Workers generated from the template in the working tree.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::tools::{root, run, try_run};

pub(crate) const NAME: &str = "reef-depths";

/// Answers to the template's questions. A question without an answer takes its default.
#[derive(Clone, Default)]
pub(crate) struct Answers(BTreeMap<&'static str, String>);

impl Answers {
    /// With the SDK from the working tree.
    pub(crate) fn new() -> Self {
        Self::default()
            .with("sdk", "path")
            .with("sdk_path", root().to_str().unwrap())
    }

    pub(crate) fn with(mut self, question: &'static str, answer: impl Into<String>) -> Self {
        self.0.insert(question, answer.into());
        self
    }

    /// Every handler style, with container, deployment and CI on and off. ECS needs a container.
    pub(crate) fn combinations() -> Vec<(String, Self)> {
        let mut all = Vec::new();
        for style in ["async", "cpu", "program"] {
            for (container, deployment) in [("false", "none"), ("true", "none"), ("true", "ecs")] {
                for ci in ["github", "none"] {
                    let answers = Self::new()
                        .with("handler_style", style)
                        .with("container", container)
                        .with("deployment", deployment)
                        .with("ci", ci);
                    let name = format!("{style}, container {container}, {deployment}, ci {ci}");
                    all.push((name, answers));
                }
            }
        }
        all
    }

    fn arguments(&self) -> impl Iterator<Item = String> {
        let define = |(question, answer): (&&str, &String)| {
            ["--define".to_owned(), format!("{question}={answer}")]
        };
        self.0.iter().flat_map(define)
    }
}

/// `cargo generate` without the configuration of the person at this machine.
pub(crate) fn cargo_generate() -> Command {
    let mut command = Command::new("cargo");
    command
        .args(["generate", "--config", "/dev/null", "--silent"])
        // cargo-generate requires an author, though the template uses none.
        .env("USER", "author");
    command
}

/// A generated worker in a folder outside the repository.
pub(crate) struct Worker {
    pub(crate) path: PathBuf,
    _folder: TempDir,
}

impl Worker {
    pub(crate) fn generate(answers: &Answers) -> Self {
        Self::try_generate(NAME, answers).unwrap_or_else(|output| panic!("{output}"))
    }

    /// Generates a worker, or returns the output of a `cargo generate` that refuses.
    pub(crate) fn try_generate(name: &str, answers: &Answers) -> Result<Self, String> {
        Self::generate_by(name, |command| {
            command
                .arg("--path")
                .arg(root().join("template"))
                .args(answers.arguments());
        })
    }

    /// With the answers that a worker has recorded.
    pub(crate) fn generate_again(name: &str, worker: &Path) -> Self {
        let given = Self::generate_by(name, |command| {
            command
                .arg("--path")
                .arg(root().join("template"))
                .arg("--values-file")
                .arg(worker.join("template-answers.toml"));
        });
        given.unwrap_or_else(|output| panic!("{output}"))
    }

    /// With a template and answers of these arguments.
    pub(crate) fn generate_by(
        name: &str,
        arguments: impl FnOnce(&mut Command),
    ) -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let mut command = cargo_generate();
        command.args(["--vcs", "none", "--name", name, "--destination"]);
        arguments(command.arg(folder.path()));
        try_run(&mut command)
            .map_err(|output| output.replace(folder.path().to_str().unwrap(), "…"))?;
        Ok(Self {
            path: folder.path().join(name),
            _folder: folder,
        })
    }

    /// The path of every file, in order.
    pub(crate) fn files(&self) -> Vec<String> {
        files(&self.path)
    }

    pub(crate) fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.path.join(file)).unwrap_or_else(|_| panic!("{file}"))
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        std::fs::write(self.path.join(file), text).unwrap();
    }

    /// Adds a handler by the second template.
    pub(crate) fn add_handler(&self, job_type: &str, style: &str) -> Result<String, String> {
        try_run(
            cargo_generate()
                .arg("--path")
                .arg(root().join("template-handler"))
                .args(["--allow-commands", "--name", "handler", "--define"])
                .arg(format!("job_type={job_type}"))
                .args(["--define", &format!("handler_style={style}")])
                .current_dir(&self.path),
        )
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        git(&self.path, arguments)
    }
}

/// The path of every file below a folder, in order, except those of git and cargo.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    fn visit(folder: &Path, below: &str, files: &mut Vec<String>) {
        for entry in folder.read_dir().unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if below.is_empty() && [".git", "target"].contains(&name.as_str()) {
                continue;
            }
            let path = format!("{below}{name}");
            if entry.file_type().unwrap().is_dir() {
                visit(&entry.path(), &format!("{path}/"), files);
            } else {
                files.push(path);
            }
        }
    }
    let mut all = Vec::new();
    visit(folder, "", &mut all);
    all.sort();
    all
}

/// git with an identity, and without the configuration of the person at this machine.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    run(Command::new("git")
        .args([
            "-c",
            "user.name=author",
            "-c",
            "user.email=author@email.com",
        ])
        .args(["-c", "init.defaultBranch=main"])
        .args(arguments)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .current_dir(folder))
}
