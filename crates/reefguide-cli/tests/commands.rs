//! The command as a person types it, against the lab.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::time::Duration;

use assert_cmd::Command;
use reefguide_lab::Lab;
use reefguide_worker::handler::JobError;
use reefguide_worker::runtime::{RunOptions, Worker};
use reefguide_worker::source::reefguide::{Client, ReefGuide};
use reefguide_worker::storage::{S3Credentials, S3Options, Storage};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

struct Desk {
    lab: Lab,
    config: TempDir,
}

impl Desk {
    async fn new() -> Self {
        let lab = Lab::builder().start().await.unwrap();
        Self {
            lab,
            config: tempfile::tempdir().unwrap(),
        }
    }

    fn reefguide(&self, args: &[&str]) -> Command {
        let mut command = Command::cargo_bin("reefguide").unwrap();
        command
            .env_clear()
            .env("REEFGUIDE_CONFIG_DIR", self.config.path())
            .args(args);
        command
    }

    /// Runs a command and returns its exit code and what it said, stderr last.
    fn said(&self, args: &[&str]) -> String {
        let output = self.reefguide(args).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        format!("exit {}\n{out}{err}", output.status.code().unwrap())
            .replace(self.lab.api_endpoint(), "http://API")
    }

    fn log_in(&self) {
        self.log_in_as("user@email.com");
    }

    fn log_in_as(&self, email: &str) {
        self.reefguide(&["login", "--api", self.lab.api_endpoint(), "--email", email])
            .env("REEFGUIDE_PASSWORD", "password")
            .assert()
            .success();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_submitted_listed_shown_and_cancelled() {
    let desk = Desk::new().await;
    desk.log_in();
    insta::with_settings!({ filters => [(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "[time]")] }, {
        insta::assert_snapshot!("submit", desk.said(&["submit", "TEST", "--input", r#"{"id": 1}"#]));
        insta::assert_snapshot!("submit_equal", desk.said(&["submit", "TEST", "--input", r#"{"id": 1}"#]));
        insta::assert_snapshot!("jobs", desk.said(&["jobs", "--status", "pending"]));
        insta::assert_snapshot!("show", desk.said(&["show", "1"]));
        insta::assert_snapshot!("cancel", desk.said(&["cancel", "1"]));
        insta::assert_snapshot!("cancel_again", desk.said(&["cancel", "1"]));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_for_programs() {
    let desk = Desk::new().await;
    desk.log_in();
    let json = |args: &[&str]| -> Value {
        serde_json::from_slice(&desk.reefguide(args).output().unwrap().stdout).unwrap()
    };
    let created = json(&["submit", "TEST", "--json", "--input", r#"{"id": 7}"#]);
    assert_eq!(created["jobId"], 1);
    assert_eq!(json(&["show", "1", "--json"])["input_payload"]["id"], 7);
    assert_eq!(json(&["jobs", "--mine", "--json"])["total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_commands_share_one_login() {
    let desk = Desk::new().await;
    desk.log_in();
    for _ in 0..8 {
        desk.reefguide(&["jobs"]).assert().success();
    }
    let logins = desk
        .lab
        .requests()
        .iter()
        .filter(|request| request.path.ends_with("/login"))
        .count();
    assert_eq!(logins, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_is_its_owners_alone_and_ends_with_logout() {
    let desk = Desk::new().await;
    desk.log_in();
    let session = desk.config.path().join("session.json");
    assert_eq!(mode(&session), 0o600);
    desk.reefguide(&["logout"]).assert().success();
    assert!(!session.exists());
}

#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// A worker that has claimed a job when it dies; on a runtime of its own, which takes everything with it.
async fn worker_dies(lab: &Lab) {
    let job = lab.submit("TEST", json!({ "id": 1 })).unwrap();
    let client = Client::builder(lab.api_endpoint(), "worker@email.com", "password");
    let client = client.build().unwrap();
    let mut options = RunOptions::default();
    options.records = format!("s3://{}/reefguide-worker/records", lab.bucket())
        .parse()
        .ok();
    let mut s3 = S3Options::default();
    s3.endpoint = Some(lab.s3_endpoint().to_owned());
    s3.credentials = Some(S3Credentials {
        access_key: "minioadmin".to_owned(),
        secret_key: "minioadmin".into(),
        session_token: None,
    });
    let worker = Worker::builder()
        .source(
            ReefGuide::builder(client)
                .task("arn:aws:ecs:task/7", "")
                .build(),
        )
        .storage(Storage::s3(s3).await)
        .options(options)
        .handler_fn("TEST", |_: Value, _| {
            std::future::pending::<Result<(), JobError>>()
        });
    let runtime = Runtime::new().unwrap();
    runtime.spawn(worker.build().unwrap().run());
    let claimed = lab.wait_for(job, |job| job["status"] == "IN_PROGRESS");
    tokio::time::timeout(Duration::from_secs(60), claimed)
        .await
        .unwrap()
        .unwrap();
    runtime.shutdown_background();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_shows_what_a_dead_worker_left_and_settles_it() {
    let desk = Desk::new().await;
    desk.log_in_as("worker@email.com");
    let doctor = |args: &[&str]| {
        let env = desk.lab.env();
        let keys = [
            "S3_ENDPOINT",
            "S3_BUCKET_NAME",
            "AWS_REGION",
            "MINIO_USERNAME",
            "MINIO_PASSWORD",
        ];
        let env = env.into_iter().filter(|(name, _)| keys.contains(name));
        let mut command = desk.reefguide(&[&["doctor"], args].concat());
        let output = command.envs(env).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        format!("exit {}\n{out}{err}", output.status.code().unwrap())
    };
    insta::assert_snapshot!("doctor_healthy", doctor(&[]));
    worker_dies(&desk.lab).await;
    insta::with_settings!({ filters => [(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "[time]")] }, {
        insta::assert_snapshot!("doctor_finds", doctor(&[]));
    });
    insta::assert_snapshot!("doctor_repairs", doctor(&["--repair", "--dead-after", "1"]));
    assert_eq!(desk.lab.job(1).unwrap()["status"], "FAILED");
    assert_eq!(
        doctor(&[]),
        doctor(&["--records", "s3://reefguide-dev/reefguide-worker/records"])
    );
    insta::assert_snapshot!("doctor_without_a_bucket", desk.said(&["doctor"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said() {
    let desk = Desk::new().await;
    insta::assert_snapshot!("not_logged_in", desk.said(&["jobs"]));
    let login = |password: &str| {
        let api = desk.lab.api_endpoint();
        let mut command = desk.reefguide(&["login", "--api", api, "--email", "user@email.com"]);
        let output = command
            .env("REEFGUIDE_PASSWORD", password)
            .output()
            .unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    insta::assert_snapshot!("wrong_password", login("wrong"));
    desk.log_in();
    insta::assert_snapshot!("no_such_job", desk.said(&["show", "99"]));
    insta::assert_snapshot!(
        "refused_payload",
        desk.said(&["submit", "TEST", "--input", "{}"])
    );
    insta::assert_snapshot!("unknown_type", desk.said(&["submit", "NOPE"]));
    insta::assert_snapshot!(
        "broken_payload",
        desk.said(&["submit", "TEST", "--input", "{"])
    );
    insta::assert_snapshot!(
        "no_such_file",
        desk.said(&["submit", "TEST", "--input", "none.json"])
    );
    insta::assert_snapshot!("help", desk.said(&["--help"]));
}
