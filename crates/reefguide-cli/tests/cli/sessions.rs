use std::path::Path;
use std::time::Duration;

use reefguide_lab::Lab;

use crate::desk::Desk;

#[tokio::test(flavor = "multi_thread")]
async fn many_commands_share_one_login() {
    let desk = Desk::logged_in().await;
    for _ in 0..8 {
        desk.reefguide(&["jobs"]).assert().success();
    }
    let requests = desk.lab.requests();
    let logins = requests
        .iter()
        .filter(|request| request.path.ends_with("/login"));
    assert_eq!(logins.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_is_its_owners_alone_and_ends_with_logout() {
    let desk = Desk::logged_in().await;
    let session = desk.path("session.json");
    assert_eq!(mode(&session), 0o600);
    assert!(
        !std::fs::read_to_string(&session)
            .unwrap()
            .contains("\"password\"")
    );
    desk.reefguide(&["logout"]).assert().success();
    assert!(!session.exists());
    insta::assert_snapshot!("logged_out", desk.said(&["jobs"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_has_ended_is_told() {
    let desk = Desk::with(Lab::builder().refresh_life(Duration::ZERO)).await;
    desk.log_in_as("user@email.com");
    insta::assert_snapshot!("session_ended", desk.said(&["jobs"]));
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_is_told_why() {
    let desk = Desk::new().await;
    let login = |endpoint: &str, password: &str| {
        let mut command =
            desk.reefguide(&["login", "--api", endpoint, "--email", "user@email.com"]);
        let output = command.env("REEFGUIDE_PASSWORD", password).output();
        desk.told(&output.unwrap())
    };
    insta::assert_snapshot!("wrong_password", login(desk.lab.api_endpoint(), "wrong"));
    insta::assert_snapshot!("no_url", login("reefguide", "password"));
    insta::assert_snapshot!("login", login(desk.lab.api_endpoint(), "password"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_is_away_is_told_from_one_that_refuses_and_json_has_the_exit_code() {
    let desk = Desk::logged_in().await;
    let Desk { lab, folder } = desk;
    lab.shutdown().await;
    let desk = Desk {
        folder,
        ..Desk::new().await
    };
    let output = desk.reefguide(&["jobs", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(69));
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["exitCode"], 69);
    assert!(
        error["error"].as_str().unwrap().contains("no answer from"),
        "{error}"
    );
    assert!(output.stdout.is_empty());
}
