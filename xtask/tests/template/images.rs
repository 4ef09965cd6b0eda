//! Images are built from the Dockerfiles and run, if buildah is installed. Stand-ins replace their base images, so that no
//! registry is needed.

use std::path::{Path, PathBuf};
use std::process::Command;

use reefguide_lab::Lab;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::repository::Repository;
use crate::tools::{has, root, run};
use crate::worker::{Answers, NAME, Worker};

/// The image store of one test, separate from that of the machine.
struct Store(TempDir);

impl Store {
    /// A store with stand-ins for the base images; `None` if they cannot be made.
    fn with_bases() -> Option<Self> {
        if !has("buildah") {
            return None;
        }
        if !rustix::process::geteuid().is_root() || !has("dpkg") {
            eprintln!("SKIPPED: base images are made by root, on a Debian");
            return None;
        }
        let store = Self(tempfile::tempdir().unwrap());
        // Builds quickly, for slower programs.
        run(Command::new(root().join("xtask/images/base-images.sh"))
            .arg(store.0.path())
            .args(
                ["OPT_LEVEL=0", "LTO=off"].map(|quick| format!("CARGO_PROFILE_RELEASE_{quick}")),
            ));
        Some(store)
    }

    fn buildah(&self) -> Command {
        let folder = self.0.path();
        let mut command = Command::new("buildah");
        command
            .arg("--root")
            .arg(folder.join("root"))
            .arg("--runroot")
            .arg(folder.join("run"))
            .env("TMPDIR", folder);
        command
    }

    fn build(&self, context: &Path, arguments: &[&str], tag: &str) {
        // The crates that cargo has downloaded, for a build without a network.
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.unwrap_or_else(|| std::env::home_dir().unwrap().join(".cargo"));
        let registry = home.join("registry");
        run(self
            .buildah()
            .args([
                "bud",
                "--layers",
                "--isolation",
                "chroot",
                "--format",
                "docker",
            ])
            .arg(format!(
                "--volume={}:/host-cargo/registry",
                registry.display()
            ))
            .args(arguments)
            .args(["--tag", tag, "."])
            .current_dir(context));
    }

    /// The configuration of an image.
    fn config(&self, tag: &str) -> Value {
        let inspect = run(self.buildah().args(["inspect", "--type", "image", tag]));
        let image: Value = serde_json::from_str(&inspect).unwrap();
        image["Docker"]["config"].clone()
    }

    /// Runs a program of the image and returns its output.
    fn run(&self, tag: &str, env: &[(&str, String)], arguments: &[&str]) -> String {
        let container = run(self.buildah().args(["from", tag]));
        let env = env
            .iter()
            .map(|(name, value)| format!("--env={name}={value}"));
        run(self
            .buildah()
            .args(["run", "--isolation", "chroot"])
            .args(env)
            .args([container.trim(), "--"])
            .args(arguments))
    }

    /// Checks the configuration of an image, and that its worker runs a job.
    fn check(&self, tag: &str, program: &str, job_type: &str, payload: Value) {
        let config = self.config(tag);
        assert_eq!(config["User"], "65532", "{config:#}");
        assert_eq!(config["StopSignal"], "SIGTERM");
        assert_eq!(
            config["Healthcheck"]["Test"],
            json!(["CMD", program, "healthcheck"])
        );
        assert_eq!(config["Entrypoint"], json!([program]));
        assert_eq!(config["Volumes"], json!({ "/tmp": {} }));
        assert!(
            config["Env"]
                .as_array()
                .unwrap()
                .contains(&json!("PORT=8080"))
        );
        assert!(config["Labels"]["org.opencontainers.image.title"].is_string());

        let runtime = tokio::runtime::Runtime::new().unwrap();
        let lab = Lab::builder().any_job_type().start();
        let lab = runtime.block_on(lab).unwrap();
        let job = lab.submit(job_type, payload).unwrap();
        let mut env = lab.env();
        // The container shares the ports of this machine with other tests. The worker ends when no job has come for a second.
        env.extend([
            ("PORT", String::new()),
            ("IDLE_TIMEOUT_MS", "1000".to_owned()),
        ]);
        let output = self.run(tag, &env, &[program]);
        assert_eq!(lab.job(job).unwrap()["status"], "SUCCEEDED", "{output}");
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // A mounted folder cannot be removed.
        let _ = self.buildah().args(["rm", "--all"]).output();
        let _ = self.buildah().args(["rmi", "--all", "--force"]).output();
    }
}

#[test]
fn images_are_built_and_their_workers_run_a_job() {
    if let Some(store) = Store::with_bases() {
        let repository = Repository::of_the_working_tree();
        generated(&store, &repository);
        store.build(repository.path(), &[], "example");
        let payload = json!({ "id": 1 });
        store.check("example", "/usr/local/bin/worker", "TEST", payload);
    }
}

/// Images of a worker that runs a program, and of one that does not.
fn generated(store: &Store, repository: &Repository) {
    let sdk = repository.path().to_str().unwrap();
    for style in ["program", "async"] {
        let answers = Answers::new()
            .with("sdk_path", sdk)
            .with("handler_style", style);
        let worker = Worker::generate(&answers);
        std::fs::copy(root().join("Cargo.lock"), worker.path.join("Cargo.lock")).unwrap();
        let mut prune = Command::new("cargo");
        prune.args(["metadata", "--offline", "--quiet", "--format-version=1"]);
        // Crates for other systems may not have been downloaded.
        let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        prune.args(["--filter-platform", &platform]);
        run(prune.current_dir(&worker.path));
        let context = format!("--build-context=sdk={sdk}");
        let arguments = [&context, "--build-arg=LTO=off", "--target=worker"];
        store.build(&worker.path, &arguments, style);
        let program = format!("/usr/local/bin/{NAME}");
        let payload = json!({ "values": [-1.0, -3.0] });
        store.check(style, &program, "MEAN_DEPTH", payload);
    }
}
