//! The command with a folder for its session, and a lab to talk to.

use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use reefguide_lab::{Lab, LabBuilder};
use reefguide_worker::job::{AssignmentId, JobId, JobStatus};
use reefguide_worker::source::reefguide::{AssignmentRecord, Client};
use reefguide_worker::storage::{S3Credentials, S3Options, Storage, StorageUri};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) struct CliFixture {
    pub(crate) lab: Lab,
    /// The command's current folder and configuration folder.
    pub(crate) folder: TempDir,
}

impl CliFixture {
    /// Not logged in.
    pub(crate) async fn new() -> Self {
        Self::with(Lab::builder()).await
    }

    pub(crate) async fn with(lab: LabBuilder) -> Self {
        Self {
            lab: lab.start().await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Logged in as a submitter.
    pub(crate) async fn logged_in() -> Self {
        let cli = Self::new().await;
        cli.log_in_as("user@email.com");
        cli
    }

    pub(crate) fn log_in_as(&self, email: &str) {
        self.reefguide(&["login", "--api", self.lab.api_endpoint(), "--email", email])
            .env("REEFGUIDE_PASSWORD", "password")
            .assert()
            .success();
    }

    /// The command as a process that inherits nothing from this one's environment.
    pub(crate) fn process(&self, args: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("reefguide"));
        command
            .env_clear()
            .env("REEFGUIDE_CONFIG_DIR", self.folder.path())
            .current_dir(self.folder.path())
            .args(args);
        command
    }

    pub(crate) fn reefguide(&self, args: &[&str]) -> Command {
        Command::from_std(self.process(args))
    }

    /// Runs a command and returns its exit code, stdout and stderr.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        self.transcript(&self.reefguide(args).output().unwrap())
    }

    /// Runs a command with this text on stdin.
    pub(crate) fn run_with_stdin(&self, args: &[&str], stdin: &str) -> String {
        let output = self.reefguide(args).write_stdin(stdin).output().unwrap();
        self.transcript(&output)
    }

    /// A command's exit code, stdout and stderr, without the addresses and paths that differ from run to run.
    pub(crate) fn transcript(&self, output: &Output) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        format!("exit {}\n{out}{err}", output.status.code().unwrap())
            .replace(self.lab.api_endpoint(), "http://API")
            .replace(self.lab.s3_endpoint(), "http://S3")
            .replace(&self.folder.path().display().to_string(), "[folder]")
    }

    /// What a command printed as JSON.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        serde_json::from_slice(&self.reefguide(args).output().unwrap().stdout).unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// The paths of all files below a folder.
    pub(crate) fn files(&self, folder: &str) -> Vec<String> {
        fn walk(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => walk(&path, found),
                    false => found.push(path),
                }
            }
        }
        let (root, mut found) = (self.path(folder), Vec::new());
        walk(&root, &mut found);
        let names = found.iter().map(|path| path.strip_prefix(&root).unwrap());
        let mut names: Vec<_> = names
            .map(|name| name.to_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    }

    /// A worker's client.
    pub(crate) fn worker(&self) -> Client {
        let endpoint = self.lab.api_endpoint();
        let client = Client::builder(endpoint, "worker@email.com", "password");
        client.build().unwrap()
    }

    pub(crate) fn storage(&self) -> Storage {
        let mut options = S3Options::default();
        options.endpoint = Some(self.lab.s3_endpoint().to_owned());
        options.credentials = Some(S3Credentials {
            access_key: "minioadmin".to_owned(),
            secret_key: "minioadmin".into(),
            session_token: None,
        });
        Storage::s3(options)
    }

    /// Submits a job and claims it as a worker.
    pub(crate) async fn claim_job(&self, client: &Client, payload: Value) -> AssignmentRecord {
        let job = self.lab.submit("TEST", payload).unwrap();
        let task = "arn:aws:ecs:task/7";
        client.assign(&JobId::from(job), task, "").await.unwrap()
    }

    pub(crate) async fn report(&self, client: &Client, held: &AssignmentId, status: JobStatus) {
        client.post_result(held, &status, None).await.unwrap();
    }

    /// A job that has succeeded with these output files.
    pub(crate) async fn finished_job(&self, files: &[(&str, Vec<u8>)]) -> String {
        let client = self.worker();
        let held = self.claim_job(&client, json!({ "id": 1 })).await;
        let (storage, folder) = (self.storage(), &held.storage_uri);
        for (name, content) in files {
            let uri: StorageUri = format!("{folder}/{name}").parse().unwrap();
            storage.upload_bytes(content.clone(), &uri).await.unwrap();
        }
        self.report(&client, &held.id, JobStatus::Succeeded).await;
        held.job_id.to_string()
    }
}

/// Polls a condition until it is true.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let limit = std::time::Duration::from_secs(60);
    tokio::time::timeout(limit, waiting).await.unwrap();
}

/// Values that differ from run to run.
pub(crate) const FILTERS: [(&str, &str); 2] = [
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "[time]"),
    (r"/\d{13}", "/[millis]"),
];
