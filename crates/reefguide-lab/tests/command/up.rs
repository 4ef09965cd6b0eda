//! `reefguide-lab up`.

use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::lab_process::{COMMAND, LabProcess, run};

#[tokio::test]
async fn a_lab_shows_its_requests_applies_its_faults_and_ends_with_ctrl_c() {
    let mut lab = LabProcess::start(&["--any-type"]);
    lab.line_with("MINIO_PASSWORD=minioadmin");
    let answer = reqwest::get(format!("{}/api/jobs/poll?jobType=ANY", lab.endpoint))
        .await
        .unwrap();
    assert_eq!(answer.status(), 401);
    let line = lab.line_with("/api/");
    assert!(
        line.contains("api 401") && line.ends_with("GET    /api/jobs/poll?jobType=ANY"),
        "{line}"
    );

    let fault = [
        "fault",
        "health",
        "status",
        "--status",
        "503",
        "--count",
        "1",
        "--lab",
        &lab.endpoint,
    ];
    assert_eq!(run(&fault), (true, "health: status 503".to_owned()));
    assert_eq!(
        reqwest::get(format!("{}/api/", lab.endpoint))
            .await
            .unwrap()
            .status(),
        503
    );
    assert!(lab.line_with("503").ends_with("[status 503]"));

    let fault = |arguments: &[&str]| {
        let common = ["fault", "--count", "1", "--lab", &lab.endpoint, "health"];
        run(&[&common, arguments].concat())
    };
    let set = |text: &str| (true, text.to_owned());
    assert_eq!(fault(&["page"]), set("health: page with status 200"));
    let to = "https://login.example/";
    assert_eq!(
        fault(&["redirect", "--location", to]),
        set("health: redirect 302 to https://login.example/")
    );
    let (succeeded, error) = fault(&["redirect", "--status", "404"]);
    assert!(!succeeded && error.contains("404 does not redirect: use 301, 302, 303, 307 or 308"));
    let health = || async {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let asked = client
            .build()
            .unwrap()
            .get(format!("{}/api/", lab.endpoint));
        asked.send().await.unwrap()
    };
    assert_eq!(health().await.headers()["content-type"], "text/html");
    assert_eq!(health().await.headers()["location"], to);

    assert!(lab.stop("INT"));
}

#[tokio::test]
async fn the_address_of_the_labs_page_is_printed_and_opened_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let opened_url = folder.path().join("opened");
    let opener = folder.path().join("xdg-open");
    let script = format!(
        "#!/bin/sh\nprintf %s \"$1\" > '{0}.new' && mv '{0}.new' '{0}'\n",
        opened_url.display()
    );
    std::fs::write(&opener, script).unwrap();
    std::fs::set_permissions(&opener, Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", folder.path().display());
    let mut lab = LabProcess::start_with(&["--open"], &path);
    let page = format!("{}/lab", lab.endpoint);
    assert_eq!(lab.line_with("page"), format!("# The lab's page: {page}"));
    let opened = async {
        while !opened_url.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), opened)
        .await
        .unwrap();
    assert_eq!(std::fs::read_to_string(opened_url).unwrap(), page);
}

#[test]
fn without_a_browser_the_lab_prints_a_warning_and_goes_on() {
    let mut child = Command::new(COMMAND)
        .args(["up", "--port", "0", "--s3-port", "0", "--open"])
        .env("PATH", "")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let warning = lines.next().unwrap().unwrap();
    assert!(
        warning.starts_with("warning: no browser could be started: "),
        "{warning}"
    );
    assert!(warning.ends_with("/lab in a browser"), "{warning}");
    assert!(child.try_wait().unwrap().is_none());
    let ended = Command::new("kill").arg(child.id().to_string()).status();
    assert!(ended.unwrap().success() && child.wait().unwrap().success());
}

#[test]
fn a_lab_on_all_addresses_ends_at_a_signal_and_keeps_its_data() {
    for signal in ["TERM", "HUP"] {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().to_str().unwrap();
        let mut lab = LabProcess::start(&["--host", "0.0.0.0", "--data", data]);
        assert!(lab.endpoint.starts_with("http://127.0.0.1:"));
        assert!(lab.stop(signal));
        assert!(folder.path().join("jobs.sqlite").is_file());
    }
}

#[tokio::test]
async fn a_lab_whose_requests_are_not_read_ends_at_the_second_signal() {
    let mut lab = LabProcess::start(&[]);
    let client = reqwest::Client::new();
    // More lines than the pipe can hold.
    for _ in 0..3_000 {
        let url = format!("{}/api", lab.endpoint);
        client.get(url).send().await.unwrap();
    }
    let id = lab.child.id().to_string();
    let deadline = Instant::now() + Duration::from_secs(30);
    let ended = loop {
        // Two signals at once count as one.
        let sent = Command::new("kill").arg(&id).status();
        sent.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        if let Some(ended) = lab.child.try_wait().unwrap() {
            break ended.code();
        }
        assert!(
            Instant::now() < deadline,
            "it is still waiting for its reader"
        );
    };
    assert_eq!(ended, Some(143));
}

#[test]
fn a_folder_in_use_is_refused_until_its_lab_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let mut first = LabProcess::start(&["--data", data]);
    let mut second = Command::new(COMMAND)
        .args(["up", "--port", "0", "--s3-port", "0", "--data", data])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut started = String::new();
    let mut stdout = BufReader::new(second.stdout.take().unwrap());
    stdout.read_line(&mut started).unwrap();
    second.kill().unwrap();
    let stderr = String::from_utf8(second.wait_with_output().unwrap().stderr).unwrap();
    assert_eq!(
        (started.as_str(), stderr.trim_end()),
        (
            "",
            format!(
                "error: another lab uses the data in {data}; stop that one, or give this one another folder"
            )
            .as_str()
        )
    );
    assert!(!first.stop("KILL"));
    assert!(LabProcess::start(&["--data", data]).stop("TERM"));
}
