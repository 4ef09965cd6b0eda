//! A desk at which somebody types commands, with a lab behind it.

use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use reefguide_client::job::{AssignmentId, JobId, JobStatus};
use reefguide_client::{AssignmentRecord, Client};
use reefguide_lab::{Lab, LabBuilder};
use reefguide_storage::{S3Credentials, S3Options, Storage, StorageUri};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) struct Desk {
    pub(crate) lab: Lab,
    /// Where the session is kept, and whatever a test puts there.
    pub(crate) folder: TempDir,
}

impl Desk {
    /// With nobody logged in.
    pub(crate) async fn new() -> Self {
        Self::with(Lab::builder()).await
    }

    pub(crate) async fn with(lab: LabBuilder) -> Self {
        Self {
            lab: lab.start().await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// With a submitter logged in.
    pub(crate) async fn logged_in() -> Self {
        let desk = Self::new().await;
        desk.log_in_as("user@email.com");
        desk
    }

    pub(crate) fn log_in_as(&self, email: &str) {
        self.reefguide(&["login", "--api", self.lab.api_endpoint(), "--email", email])
            .env("REEFGUIDE_PASSWORD", "password")
            .assert()
            .success();
    }

    /// The command as a process of its own, which knows nothing of this one's environment.
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

    /// Runs a command and returns its exit code and what it said, stderr last.
    pub(crate) fn said(&self, args: &[&str]) -> String {
        self.told(&self.reefguide(args).output().unwrap())
    }

    /// The same with a line on stdin.
    pub(crate) fn said_of(&self, args: &[&str], stdin: &str) -> String {
        let output = self.reefguide(args).write_stdin(stdin).output().unwrap();
        self.told(&output)
    }

    /// What a command said, but for what is another in each run.
    pub(crate) fn told(&self, output: &Output) -> String {
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

    /// The names in a folder, at any depth.
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

    pub(crate) async fn storage(&self) -> Storage {
        let mut options = S3Options::default();
        options.endpoint = Some(self.lab.s3_endpoint().to_owned());
        options.credentials = Some(S3Credentials {
            access_key: "minioadmin".to_owned(),
            secret_key: "minioadmin".into(),
            session_token: None,
        });
        Storage::s3(options).await
    }

    /// A job that a worker has claimed.
    pub(crate) async fn claimed(&self, client: &Client, payload: Value) -> AssignmentRecord {
        let job = self.lab.submit("TEST", payload).unwrap();
        let task = "arn:aws:ecs:task/7";
        client.assign(&JobId::from(job), task, "").await.unwrap()
    }

    pub(crate) async fn report(&self, client: &Client, held: &AssignmentId, status: JobStatus) {
        client.post_result(held, &status, None).await.unwrap();
    }

    /// A job that has succeeded with these files.
    pub(crate) async fn done(&self, files: &[(&str, Vec<u8>)]) -> String {
        let client = self.worker();
        let held = self.claimed(&client, json!({ "id": 1 })).await;
        let (storage, folder) = (self.storage().await, &held.storage_uri);
        for (name, content) in files {
            let uri: StorageUri = format!("{folder}/{name}").parse().unwrap();
            storage.upload_bytes(content.clone(), &uri).await.unwrap();
        }
        self.report(&client, &held.id, JobStatus::Succeeded).await;
        held.job_id.to_string()
    }
}

/// Waits for something outside that tells nobody.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let limit = std::time::Duration::from_secs(60);
    tokio::time::timeout(limit, waiting).await.unwrap();
}

/// What is another in each run.
pub(crate) const FILTERS: [(&str, &str); 2] = [
    (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "[time]"),
    (r"/\d{13}", "/[millis]"),
];
