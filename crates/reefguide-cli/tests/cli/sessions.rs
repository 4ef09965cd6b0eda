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

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_where_it_belongs_and_nowhere_else() {
    let desk = Desk::new().await;
    std::fs::create_dir(desk.path("work")).unwrap();
    let login = |variables: &[(&str, &str)]| {
        let api = desk.lab.api_endpoint();
        let mut command = desk.process(&["login", "--api", api, "--email", "user@email.com"]);
        command
            .env_remove("REEFGUIDE_CONFIG_DIR")
            .env("REEFGUIDE_PASSWORD", "password")
            .envs(variables.iter().copied())
            .current_dir(desk.path("work"));
        let output = command.output().unwrap();
        assert_eq!(desk.files("work"), [""; 0], "{variables:?}");
        desk.told(&output)
    };
    let home = desk.path("home");
    let home = home.to_str().unwrap();
    let kept = "home/.config/reefguide/session.json";
    for variables in [
        &[("REEFGUIDE_CONFIG_DIR", ""), ("HOME", home)][..],
        &[("XDG_CONFIG_HOME", ""), ("HOME", home)],
        &[("XDG_CONFIG_HOME", "relative"), ("HOME", home)],
    ] {
        login(variables);
        assert!(desk.path(kept).is_file(), "{variables:?}");
        std::fs::remove_file(desk.path(kept)).unwrap();
    }
    login(&[("REEFGUIDE_CONFIG_DIR", "~/mine"), ("HOME", home)]);
    assert!(desk.path("home/mine/session.json").is_file());
    let logins = desk.lab.requests().len();
    insta::assert_snapshot!("no_config_folder", login(&[("HOME", "relative")]));
    desk.write("file", "");
    let file = desk.path("file");
    insta::assert_snapshot!(
        "config_folder_is_a_file",
        login(&[("REEFGUIDE_CONFIG_DIR", file.to_str().unwrap())])
    );
    std::fs::create_dir_all(desk.path("taken/session.json")).unwrap();
    let taken = desk.path("taken");
    insta::assert_snapshot!(
        "session_is_a_folder",
        login(&[("REEFGUIDE_CONFIG_DIR", taken.to_str().unwrap())])
    );
    assert_eq!(desk.files("taken"), [""; 0]);
    // No login is spent on a session that cannot be kept.
    assert_eq!(desk.lab.requests().len(), logins);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_file_is_read_as_it_was_left_or_told_without_its_content() {
    let desk = Desk::logged_in().await;
    let session = std::fs::read_to_string(desk.path("session.json")).unwrap();
    desk.write("session.json", &format!("\u{feff}{session}"));
    assert_eq!(desk.said(&["jobs"]), "exit 0\nthere are no such jobs\n");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(desk.path("session.json"), open).unwrap();
    insta::assert_snapshot!("session_is_open", desk.said(&["jobs"]));
    let broken = [
        String::new(),
        "{\"api\": ".to_owned(),
        "\"secret\"".to_owned(),
        "{\"api\": 7, \"email\": \"secret\"}".to_owned(),
        session.replace("http://", "http://user:secret@"),
        session.replace("http://", ""),
    ];
    for text in broken {
        desk.write("session.json", &text);
        let said = desk.said(&["jobs"]);
        assert!(said.starts_with("exit 77\n"), "{text}: {said}");
        assert!(said.contains("[folder]/session.json"), "{text}: {said}");
        assert!(
            said.contains("run `reefguide login` again"),
            "{text}: {said}"
        );
        assert!(!said.contains("secret"), "{text}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_in_an_address_is_neither_used_nor_shown_nor_kept() {
    let desk = Desk::new().await;
    let host = desk
        .lab
        .api_endpoint()
        .trim_start_matches("http://")
        .to_owned();
    let address = format!("http://user:secret@{host}");
    let run = |args: &[&str]| {
        let mut command = desk.process(args);
        let variables = ["API_ENDPOINT", "S3_ENDPOINT", "RECORDS_URI"];
        let variables = variables.map(|name| (name, &address));
        let output = command
            .envs(variables)
            .env("REEFGUIDE_PASSWORD", "password")
            .output();
        let said = desk.told(&output.unwrap());
        assert!(!said.contains("secret"), "{args:?}: {said}");
        said
    };
    let refused = run(&["login", "--email", "user@email.com"]);
    assert!(refused.starts_with("exit 2\n"), "{refused}");
    assert!(
        refused.contains("remove the user name and password"),
        "{refused}"
    );
    run(&["login", "--email", "user@email.com", "--json"]);
    run(&["login", "--help"]);
    run(&["doctor", "--help"]);
    run(&["doctor", &address]);
    run(&["show", &address]);
    run(&["submit", "TEST", "--batch", &address, "--json"]);
    assert_eq!(desk.files(""), [""; 0]);
    assert_eq!(desk.lab.requests().len(), 0);
    desk.log_in_as("worker@email.com");
    let endpoint = ["doctor", "--records", "s3://b/r", "--s3-endpoint", &address];
    assert!(run(&endpoint).starts_with("exit 2\n"));
    assert!(run(&["doctor"]).starts_with("exit 2\n"));
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
