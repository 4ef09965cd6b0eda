use std::os::unix::fs::symlink;
use std::process::Stdio;
use std::time::Duration;

use reefguide_client::job::JobStatus;
use reefguide_lab::{Fault, Route};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::desk::{Desk, FILTERS, until};

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 7 + at / 251) as u8).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn all_files_of_a_job_come_to_the_folder_and_none_is_replaced_unasked() {
    let desk = Desk::logged_in().await;
    let large = content(3_000_000);
    let job = desk
        .done(&[
            ("charts/a.json", b"{}".to_vec()),
            ("large.bin", large.clone()),
            ("empty", Vec::new()),
        ])
        .await;
    insta::assert_snapshot!("download", desk.said(&["download", &job, "--to", "out"]));
    assert_eq!(desk.files("out"), ["charts/a.json", "empty", "large.bin"]);
    assert_eq!(std::fs::read(desk.path("out/large.bin")).unwrap(), large);

    desk.write("out/large.bin", "mine");
    std::fs::remove_file(desk.path("out/empty")).unwrap();
    std::fs::remove_file(desk.path("out/charts/a.json")).unwrap();
    insta::assert_snapshot!(
        "download_exists",
        desk.said(&["download", &job, "--to", "out"])
    );
    assert_eq!(desk.files("out"), ["large.bin"]);
    let force = [
        "download", &job, "--to", "out", "--force", "--json", "--only", "l",
    ];
    let downloaded = desk.json(&force);
    let file = json!({ "path": "large.bin", "bytes": 3_000_000, "comparedBy": "MD5" });
    assert_eq!(downloaded, json!({ "to": "out", "files": [file] }));
    assert_eq!(std::fs::read(desk.path("out/large.bin")).unwrap(), large);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_breaks_off_goes_on_and_a_wrong_one_is_fetched_again() {
    let desk = Desk::logged_in().await;
    let large = content(5_000_000);
    let job = desk.done(&[("large.bin", large.clone())]).await;
    desk.lab
        .faults()
        .add(Fault::cut_body(Route::S3Get, 2_500_000).times(1));
    desk.lab
        .faults()
        .add(Fault::status(Route::S3Get, 503).times(1));
    desk.lab
        .faults()
        .add(Fault::corrupt_body(Route::S3Get, 2_000_000).times(1));
    desk.reefguide(&["download", &job, "--to", "out"])
        .assert()
        .success();
    assert_eq!(std::fs::read(desk.path("out/large.bin")).unwrap(), large);
    assert_eq!(desk.lab.faults().fired(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_stays_wrong_is_no_file() {
    let desk = Desk::logged_in().await;
    let job = desk.done(&[("large.bin", content(100_000))]).await;
    desk.lab
        .faults()
        .add(Fault::corrupt_body(Route::S3Get, 50_000));
    insta::assert_snapshot!(
        "download_corrupt",
        desk.said(&["download", &job, "--to", "out"])
    );
    assert_eq!(desk.files("out"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_url_is_not_shown_with_its_signature() {
    let desk = Desk::logged_in().await;
    let job = desk.done(&[("a", content(10))]).await;
    desk.lab.faults().add(Fault::status(Route::S3Get, 403));
    let said = desk.said(&["download", &job, "--to", "out"]);
    assert!(
        said.starts_with("exit 77\nerror: cannot download a: http://S3 answered 403"),
        "{said}"
    );
    assert!(!said.contains("Signature"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_leads_out_of_the_folder() {
    let desk = Desk::logged_in().await;
    let job = desk
        .done(&[("good", content(1)), ("a/../../evil", content(1))])
        .await;
    insta::assert_snapshot!(
        "download_evil_name",
        desk.said(&["download", &job, "--to", "out"])
    );
    assert_eq!(desk.files("out"), [""; 0]);

    let desk = Desk::logged_in().await;
    let job = desk.done(&[("link/file", content(1))]).await;
    std::fs::create_dir_all(desk.path("out")).unwrap();
    std::fs::create_dir_all(desk.path("elsewhere")).unwrap();
    symlink(desk.path("elsewhere"), desk.path("out/link")).unwrap();
    let said = desk.said(&["download", &job, "--to", "out"]);
    assert!(said.contains("is a symbolic link"), "{said}");
    assert_eq!(desk.files("elsewhere"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_downloaded_is_said() {
    let desk = Desk::logged_in().await;
    let files: Vec<_> = (0..26).map(|nth| format!("part/{nth}")).collect();
    let files: Vec<_> = files
        .iter()
        .map(|name| (name.as_str(), content(1)))
        .collect();
    let job = desk.done(&files).await;
    insta::assert_snapshot!(
        "download_too_many",
        desk.said(&["download", &job, "--to", "out"])
    );
    let only = ["download", &job, "--to", "out", "--only", "part/2"];
    desk.reefguide(&only).assert().success();
    assert_eq!(desk.files("out").len(), 7);
    let none = ["download", &job, "--to", "out", "--only", "none"];
    assert_eq!(desk.said(&none), "exit 0\nthere are no such files\n");

    let worker = desk.worker();
    let held = desk.claimed(&worker, json!({ "id": 2 })).await;
    desk.report(&worker, &held.id, JobStatus::Failed).await;
    insta::with_settings!({ filters => FILTERS }, {
        insta::assert_snapshot!("download_failed_job", desk.said(&["download", "2", "--to", "out"]));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_download_leaves_nothing_unfinished() {
    let desk = Desk::logged_in().await;
    let job = desk.done(&[("large.bin", content(5_000_000))]).await;
    let slow = Fault::slow_pieces(Route::S3Get, Duration::from_secs(5));
    desk.lab.faults().add(slow);
    let mut process = desk.process(&["download", &job, "--to", "out"]);
    let child = process
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until(|| {
        desk.files("out")
            .iter()
            .any(|name| name.starts_with(".unfinished-"))
    })
    .await;
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(desk.told(&output), "exit 130\n");
    assert_eq!(desk.files("out"), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_place_of_a_file_is_no_file() {
    let desk = Desk::logged_in().await;
    let job = desk.done(&[("a.json", b"{}".to_vec())]).await;
    let faults = desk.lab.faults();
    for fault in [
        Fault::page(Route::S3Get, 200),
        Fault::page(Route::S3Get, 404),
        Fault::redirect(Route::S3Get, 302, "https://login.example/in?token=secret"),
    ] {
        faults.add(fault.clone().times(1));
        let download = ["download", &job, "--to", "out", "--force"];
        desk.reefguide(&download).assert().success();
        assert_eq!(std::fs::read(desk.path("out/a.json")).unwrap(), b"{}");
        faults.clear();

        faults.add(fault);
        let said = desk.said(&["download", &job, "--to", "none"]);
        assert!(said.starts_with("exit 69\n"), "{said}");
        assert!(said.contains("does not answer as S3 does"), "{said}");
        assert!(!said.contains("secret"), "{said}");
        assert!(desk.files("none").is_empty());
        faults.clear();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_certificates_an_https_api_is_refused_with_the_remedy() {
    let desk = Desk::new().await;
    let login = [
        "login",
        "--api",
        "https://127.0.0.1:1",
        "--email",
        "user@email.com",
    ];
    let mut login = desk.reefguide(&login);
    let login = login
        .env("REEFGUIDE_PASSWORD", "password")
        .env("SSL_CERT_FILE", "/nowhere/ca.pem")
        .env("SSL_CERT_DIR", "/nowhere");
    let said = desk.told(&login.output().unwrap());
    let remedy = "name a file of certificates in SSL_CERT_FILE";
    assert!(
        said.starts_with("exit 2\n") && said.contains(remedy),
        "{said}"
    );
}
