//! The command as a person types it, against the lab.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use assert_cmd::Command;
use reefguide_lab::Lab;
use serde_json::Value;
use tempfile::TempDir;

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
        self.reefguide(&[
            "login",
            "--api",
            self.lab.api_endpoint(),
            "--email",
            "user@email.com",
        ])
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
