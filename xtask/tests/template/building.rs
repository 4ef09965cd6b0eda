//! Workers are formatted, linted, built, tested and run: one for each handler style and each source of the SDK.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::packages::packaged;
use crate::repository::Repository;
use crate::tools::{root, run};
use crate::worker::{Answers, NAME, Worker};

/// The target folder that all workers share, so that their common dependencies are built once.
pub(crate) fn target() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("workers")
}

/// A worker that can be built.
struct Project {
    worker: Worker,
}

impl Project {
    fn new(answers: &Answers) -> Self {
        let worker = Worker::generate(answers);
        // The workspace's versions are tested and already downloaded.
        std::fs::copy(root().join("Cargo.lock"), worker.path.join("Cargo.lock")).unwrap();
        Self { worker }
    }

    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("cargo");
        command
            .args(arguments)
            .env("CARGO_TARGET_DIR", target())
            // Builds are faster without debug information.
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .current_dir(&self.worker.path);
        command
    }

    /// Checks format, lints and tests, and returns the output of the tests.
    fn check(&self) -> String {
        run(&mut self.cargo(&["fmt", "--check"]));
        run(&mut self.cargo(&["clippy", "--quiet", "--all-targets", "--", "-D", "warnings"]));
        let output = run(&mut self.cargo(&["test", "--quiet", "--", "--format=pretty"]));
        assert!(
            output.contains("test every_sample_payload_succeeds ... ok"),
            "{output}"
        );
        output
    }
}

/// A running program, stopped when the test ends.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::piped()).spawn().unwrap())
    }

    fn stop(&mut self) -> bool {
        let id = self.0.id().to_string();
        run(Command::new("kill").args(["-s", "TERM", &id]));
        self.0.wait().unwrap().success()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.try_wait().unwrap().is_none() {
            self.stop();
        }
    }
}

#[test]
fn an_async_worker_is_built_from_a_clone_and_runs_a_job_of_a_lab() {
    let project = Project::new(&Answers::new());
    project.check();

    // The programs that the tests have built: `cargo run` would rebuild the dependencies with fewer features.
    let program = |path: &str| {
        let mut command = Command::new(target().join("debug").join(path));
        command.current_dir(&project.worker.path);
        command
    };
    let up = ["up", "--any-type", "--port", "0", "--s3-port", "0"];
    let mut lab = Running::start(program("examples/lab").args(up));
    let lines = BufReader::new(lab.0.stdout.take().unwrap()).lines();
    let env: Vec<(String, String)> = lines
        .map(Result::unwrap)
        .skip_while(|line| line.starts_with('#'))
        .map_while(|line| {
            let (name, value) = line.split_once('=')?;
            Some((name.to_owned(), value.to_owned()))
        })
        .collect();
    let endpoint = |name: &str| env.iter().find(|(set, _)| set == name).unwrap().1.clone();

    let mut worker = Running::start(
        program(NAME)
            .args(["--env-file", ".env.dist"])
            .env("API_ENDPOINT", endpoint("API_ENDPOINT"))
            .env("S3_ENDPOINT", endpoint("S3_ENDPOINT")),
    );
    let input = ["--input", "payloads/MEAN_DEPTH.json"];
    let submit = program("examples/lab")
        .args(["submit", "MEAN_DEPTH", "--watch"])
        .args(input)
        .args(["--lab", &endpoint("API_ENDPOINT")])
        .output()
        .unwrap();
    let output = String::from_utf8(submit.stdout).unwrap();
    assert!(submit.status.success(), "{output}");
    assert!(output.contains(r#""status": "SUCCEEDED""#), "{output}");
    assert!(worker.stop() && lab.stop());

    run(program(NAME)
        .args(["handle", "MEAN_DEPTH", "--output-dir", "out"])
        .args(input));
    assert_eq!(project.worker.text("out/mean.txt"), "-3\n");
}

#[test]
fn a_cpu_worker_is_built_from_packages_and_takes_handlers_of_every_style() {
    let packages = tempfile::tempdir().unwrap();
    let answers = Answers::default()
        .with("sdk", "crates.io")
        .with("handler_style", "cpu");
    let project = Project::new(&answers);
    // The packages stand in for released ones.
    let mut patch = "[patch.crates-io]\n".to_owned();
    for (name, folder) in packaged(packages.path()) {
        writeln!(patch, "{name}.path = {:?}", folder.to_str().unwrap()).unwrap();
    }
    std::fs::create_dir(project.worker.path.join(".cargo")).unwrap();
    project.worker.write(".cargo/config.toml", &patch);
    for (job_type, style) in [
        ("WAITING", "async"),
        ("MATCH", "cpu"),
        ("SCRIPT", "program"),
    ] {
        project.worker.add_handler(job_type, style).unwrap();
    }
    let output = project.check();
    for module in ["mean_depth", "waiting", "match_job", "script"] {
        let test = format!("test handlers::{module}::tests::numbers");
        assert!(output.contains(&test), "no {test}:\n{output}");
    }
    let schemas = run(Command::new(target().join("debug").join(NAME)).arg("schema"));
    for job_type in ["MEAN_DEPTH", "WAITING", "MATCH", "SCRIPT"] {
        assert!(schemas.contains(job_type), "{schemas}");
    }
}

#[test]
fn a_program_worker_is_built_from_a_git_repository() {
    let repository = Repository::of_the_working_tree();
    let answers = Answers::default()
        .with("sdk", "git")
        .with("sdk_git", format!("file://{}", repository.path().display()))
        .with("handler_style", "program");
    Project::new(&answers).check();
}
