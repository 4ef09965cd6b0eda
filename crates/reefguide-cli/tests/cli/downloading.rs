use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::time::Duration;

use reefguide_lab::{Fault, Route};
use reefguide_worker::job::JobStatus;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::fixture::{CliFixture, FILTERS, until};

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 7 + at / 251) as u8).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_files_of_a_job_are_downloaded_and_none_is_replaced_without_force() {
    let cli = CliFixture::logged_in().await;
    let large = content(3_000_000);
    let job = cli
        .finished_job(&[
            ("charts/a.json", b"{}".to_vec()),
            ("large.bin", large.clone()),
            ("empty", Vec::new()),
        ])
        .await;
    insta::assert_snapshot!("download", cli.run(&["download", &job, "--to", "out"]));
    assert_eq!(cli.files("out"), ["charts/a.json", "empty", "large.bin"]);
    assert_eq!(std::fs::read(cli.path("out/large.bin")).unwrap(), large);

    cli.write("out/large.bin", "mine");
    std::fs::remove_file(cli.path("out/empty")).unwrap();
    std::fs::remove_file(cli.path("out/charts/a.json")).unwrap();
    insta::assert_snapshot!(
        "download_exists",
        cli.run(&["download", &job, "--to", "out"])
    );
    assert_eq!(cli.files("out"), ["large.bin"]);
    let force = [
        "download", &job, "--to", "out", "--force", "--json", "--only", "l",
    ];
    let downloaded = cli.json(&force);
    let file = json!({ "path": "large.bin", "bytes": 3_000_000, "comparedBy": "MD5" });
    assert_eq!(downloaded, json!({ "to": "out", "files": [file] }));
    assert_eq!(std::fs::read(cli.path("out/large.bin")).unwrap(), large);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_file_is_resumed_and_a_corrupt_one_is_fetched_again() {
    let cli = CliFixture::logged_in().await;
    let large = content(5_000_000);
    let job = cli.finished_job(&[("large.bin", large.clone())]).await;
    cli.lab
        .faults()
        .add(Fault::cut_body(Route::S3Get, 2_500_000).times(1));
    cli.lab
        .faults()
        .add(Fault::status(Route::S3Get, 503).times(1));
    cli.lab
        .faults()
        .add(Fault::corrupt_body(Route::S3Get, 2_000_000).times(1));
    cli.reefguide(&["download", &job, "--to", "out"])
        .assert()
        .success();
    assert_eq!(std::fs::read(cli.path("out/large.bin")).unwrap(), large);
    assert_eq!(cli.lab.faults().fired(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_stays_corrupt_is_an_error_and_leaves_no_file() {
    let cli = CliFixture::logged_in().await;
    let job = cli.finished_job(&[("large.bin", content(100_000))]).await;
    cli.lab
        .faults()
        .add(Fault::corrupt_body(Route::S3Get, 50_000));
    insta::assert_snapshot!(
        "download_corrupt",
        cli.run(&["download", &job, "--to", "out"])
    );
    assert_eq!(cli.files("out"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_url_is_not_shown_with_its_signature() {
    let cli = CliFixture::logged_in().await;
    let job = cli.finished_job(&[("a", content(10))]).await;
    cli.lab.faults().add(Fault::status(Route::S3Get, 403));
    let printed = cli.run(&["download", &job, "--to", "out"]);
    assert!(
        printed.starts_with("exit 77\nerror: cannot download a: http://S3 answered 403"),
        "{printed}"
    );
    assert!(!printed.contains("Signature"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_out_of_the_folder() {
    let cli = CliFixture::logged_in().await;
    let job = cli
        .finished_job(&[("good", content(1)), ("a/../../evil", content(1))])
        .await;
    insta::assert_snapshot!(
        "download_evil_name",
        cli.run(&["download", &job, "--to", "out"])
    );
    assert_eq!(cli.files("out"), [""; 0]);

    let cli = CliFixture::logged_in().await;
    let job = cli.finished_job(&[("link/file", content(1))]).await;
    std::fs::create_dir_all(cli.path("out")).unwrap();
    std::fs::create_dir_all(cli.path("elsewhere")).unwrap();
    symlink(cli.path("elsewhere"), cli.path("out/link")).unwrap();
    let printed = cli.run(&["download", &job, "--to", "out"]);
    assert!(printed.contains("is a symbolic link"), "{printed}");
    assert_eq!(cli.files("elsewhere"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_cannot_be_downloaded_are_an_error() {
    let cli = CliFixture::logged_in().await;
    let files: Vec<_> = (0..26).map(|nth| format!("part/{nth}")).collect();
    let files: Vec<_> = files
        .iter()
        .map(|name| (name.as_str(), content(1)))
        .collect();
    let job = cli.finished_job(&files).await;
    insta::assert_snapshot!(
        "download_too_many",
        cli.run(&["download", &job, "--to", "out"])
    );
    let only = ["download", &job, "--to", "out", "--only", "part/2"];
    cli.reefguide(&only).assert().success();
    assert_eq!(cli.files("out").len(), 7);
    let none = ["download", &job, "--to", "out", "--only", "none"];
    assert_eq!(cli.run(&none), "exit 0\nno matching files\n");

    let worker = cli.worker();
    let held = cli.claim_job(&worker, json!({ "id": 2 })).await;
    cli.report(&worker, &held.id, JobStatus::Failed).await;
    insta::with_settings!({ filters => FILTERS }, {
        insta::assert_snapshot!("download_failed_job", cli.run(&["download", "2", "--to", "out"]));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_download_leaves_nothing_unfinished() {
    let cli = CliFixture::logged_in().await;
    let job = cli.finished_job(&[("large.bin", content(5_000_000))]).await;
    let slow = Fault::slow_pieces(Route::S3Get, Duration::from_secs(5));
    cli.lab.faults().add(slow);
    let mut process = cli.process(&["download", &job, "--to", "out"]);
    let child = process
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until(|| {
        cli.files("out")
            .iter()
            .any(|name| name.starts_with(".unfinished-"))
    })
    .await;
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(cli.transcript(&output), "exit 130\n");
    assert_eq!(cli.files("out"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_place_of_a_file_is_an_error() {
    let cli = CliFixture::logged_in().await;
    let job = cli.finished_job(&[("a.json", b"{}".to_vec())]).await;
    let faults = cli.lab.faults();
    for fault in [
        Fault::page(Route::S3Get, 200),
        Fault::page(Route::S3Get, 404),
        Fault::redirect(Route::S3Get, 302, "https://login.example/in?token=secret"),
    ] {
        faults.add(fault.clone().times(1));
        let download = ["download", &job, "--to", "out", "--force"];
        cli.reefguide(&download).assert().success();
        assert_eq!(std::fs::read(cli.path("out/a.json")).unwrap(), b"{}");
        faults.clear();

        faults.add(fault);
        let printed = cli.run(&["download", &job, "--to", "none"]);
        assert!(printed.starts_with("exit 69\n"), "{printed}");
        assert!(printed.contains("does not answer as S3 does"), "{printed}");
        assert!(!printed.contains("secret"), "{printed}");
        assert!(cli.files("none").is_empty());
        faults.clear();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_certificates_an_https_api_is_refused_with_the_remedy() {
    let cli = CliFixture::new().await;
    let login = [
        "login",
        "--api",
        "https://127.0.0.1:1",
        "--email",
        "user@email.com",
    ];
    let mut login = cli.reefguide(&login);
    let login = login
        .env("REEFGUIDE_PASSWORD", "password")
        .env("SSL_CERT_FILE", "/nowhere/ca.pem")
        .env("SSL_CERT_DIR", "/nowhere");
    let printed = cli.transcript(&login.output().unwrap());
    let remedy = "name a file of certificates in SSL_CERT_FILE";
    assert!(
        printed.starts_with("exit 2\n") && printed.contains(remedy),
        "{printed}"
    );
}
