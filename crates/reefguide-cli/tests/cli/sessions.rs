use std::path::Path;
use std::time::Duration;

use reefguide_lab::Lab;

use crate::fixture::CliFixture;

#[tokio::test(flavor = "multi_thread")]
async fn many_commands_share_one_login() {
    let cli = CliFixture::logged_in().await;
    for _ in 0..8 {
        cli.reefguide(&["jobs"]).assert().success();
    }
    let requests = cli.lab.requests();
    let logins = requests
        .iter()
        .filter(|request| request.path.ends_with("/login"));
    assert_eq!(logins.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_owner_can_read_the_session_and_logout_removes_it() {
    let cli = CliFixture::logged_in().await;
    let session = cli.path("session.json");
    assert_eq!(mode(&session), 0o600);
    assert!(
        !std::fs::read_to_string(&session)
            .unwrap()
            .contains("\"password\"")
    );
    cli.reefguide(&["logout"]).assert().success();
    assert!(!session.exists());
    insta::assert_snapshot!("logged_out", cli.run(&["jobs"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_session_is_an_error() {
    let cli = CliFixture::with(Lab::builder().refresh_life(Duration::ZERO)).await;
    cli.log_in_as("user@email.com");
    insta::assert_snapshot!("session_ended", cli.run(&["jobs"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_is_saved_in_the_configuration_folder_only() {
    let cli = CliFixture::new().await;
    std::fs::create_dir(cli.path("work")).unwrap();
    let login = |variables: &[(&str, &str)]| {
        let api = cli.lab.api_endpoint();
        let mut command = cli.process(&["login", "--api", api, "--email", "user@email.com"]);
        command
            .env_remove("REEFGUIDE_CONFIG_DIR")
            .env("REEFGUIDE_PASSWORD", "password")
            .envs(variables.iter().copied())
            .current_dir(cli.path("work"));
        let output = command.output().unwrap();
        assert_eq!(cli.files("work"), [""; 0], "{variables:?}");
        cli.transcript(&output)
    };
    let home = cli.path("home");
    let home = home.to_str().unwrap();
    let kept = "home/.config/reefguide/session.json";
    for variables in [
        &[("REEFGUIDE_CONFIG_DIR", ""), ("HOME", home)][..],
        &[("XDG_CONFIG_HOME", ""), ("HOME", home)],
        &[("XDG_CONFIG_HOME", "relative"), ("HOME", home)],
    ] {
        login(variables);
        assert!(cli.path(kept).is_file(), "{variables:?}");
        std::fs::remove_file(cli.path(kept)).unwrap();
    }
    login(&[("REEFGUIDE_CONFIG_DIR", "~/mine"), ("HOME", home)]);
    assert!(cli.path("home/mine/session.json").is_file());
    let logins = cli.lab.requests().len();
    insta::assert_snapshot!("no_config_folder", login(&[("HOME", "relative")]));
    cli.write("file", "");
    let file = cli.path("file");
    insta::assert_snapshot!(
        "config_folder_is_a_file",
        login(&[("REEFGUIDE_CONFIG_DIR", file.to_str().unwrap())])
    );
    std::fs::create_dir_all(cli.path("taken/session.json")).unwrap();
    let taken = cli.path("taken");
    insta::assert_snapshot!(
        "session_is_a_folder",
        login(&[("REEFGUIDE_CONFIG_DIR", taken.to_str().unwrap())])
    );
    assert_eq!(cli.files("taken"), [""; 0]);
    // No login is used up if the session cannot be saved.
    assert_eq!(cli.lab.requests().len(), logins);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_session_file_is_an_error_that_does_not_show_its_content() {
    let cli = CliFixture::logged_in().await;
    let session = std::fs::read_to_string(cli.path("session.json")).unwrap();
    cli.write("session.json", &format!("\u{feff}{session}"));
    assert_eq!(cli.run(&["jobs"]), "exit 0\nno matching jobs\n");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(cli.path("session.json"), open).unwrap();
    insta::assert_snapshot!("session_is_open", cli.run(&["jobs"]));
    let broken = [
        String::new(),
        "{\"api\": ".to_owned(),
        "\"secret\"".to_owned(),
        "{\"api\": 7, \"email\": \"secret\"}".to_owned(),
        session.replace("http://", "http://user:secret@"),
        session.replace("http://", ""),
    ];
    for text in broken {
        cli.write("session.json", &text);
        let printed = cli.run(&["jobs"]);
        assert!(printed.starts_with("exit 77\n"), "{text}: {printed}");
        assert!(
            printed.contains("[folder]/session.json"),
            "{text}: {printed}"
        );
        assert!(
            printed.contains("run `reefguide login` again"),
            "{text}: {printed}"
        );
        assert!(!printed.contains("secret"), "{text}: {printed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_in_an_address_is_neither_used_nor_shown_nor_saved() {
    let cli = CliFixture::new().await;
    let host = cli
        .lab
        .api_endpoint()
        .trim_start_matches("http://")
        .to_owned();
    let address = format!("http://user:secret@{host}");
    let run = |args: &[&str]| {
        let mut command = cli.process(args);
        let variables = ["API_ENDPOINT", "S3_ENDPOINT", "RECORDS_URI"];
        let variables = variables.map(|name| (name, &address));
        let output = command
            .envs(variables)
            .env("REEFGUIDE_PASSWORD", "password")
            .output();
        let printed = cli.transcript(&output.unwrap());
        assert!(!printed.contains("secret"), "{args:?}: {printed}");
        printed
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
    assert_eq!(cli.files(""), [""; 0]);
    assert_eq!(cli.lab.requests().len(), 0);
    cli.log_in_as("worker@email.com");
    let endpoint = ["doctor", "--records", "s3://b/r", "--s3-endpoint", &address];
    assert!(run(&endpoint).starts_with("exit 2\n"));
    assert!(run(&["doctor"]).starts_with("exit 2\n"));
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_login_names_the_reason() {
    let cli = CliFixture::new().await;
    let login = |endpoint: &str, password: &str| {
        let mut command = cli.reefguide(&["login", "--api", endpoint, "--email", "user@email.com"]);
        let output = command.env("REEFGUIDE_PASSWORD", password).output();
        cli.transcript(&output.unwrap())
    };
    insta::assert_snapshot!("wrong_password", login(cli.lab.api_endpoint(), "wrong"));
    insta::assert_snapshot!("no_url", login("reefguide", "password"));
    insta::assert_snapshot!("login", login(cli.lab.api_endpoint(), "password"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_that_is_down_has_its_exit_code_in_json_errors() {
    let cli = CliFixture::logged_in().await;
    let CliFixture { lab, folder } = cli;
    lab.shutdown().await;
    let cli = CliFixture {
        folder,
        ..CliFixture::new().await
    };
    let output = cli.reefguide(&["jobs", "--json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(69));
    let error: serde_json::Value = serde_json::from_slice(&output.stderr).unwrap();
    assert_eq!(error["exitCode"], 69);
    assert!(
        error["error"].as_str().unwrap().contains("no answer from"),
        "{error}"
    );
    assert!(output.stdout.is_empty());
}
