//! `check`: whether each part that a worker needs is good or bad.

use reefguide_lab::{Fault, Lab, Route};

use crate::fixture::{assert_shown, closed_port, lab, submit_test, worker_for};
use crate::program::Program;

#[tokio::test]
async fn every_good_part_is_reported() {
    let lab = lab().await;
    submit_test(&lab, 1);
    let exited = worker_for(&lab).run(&["check"]).await;
    assert_eq!(exited.code, Some(0));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn a_cache_that_can_be_used_is_good() {
    let lab = lab().await;
    let program = worker_for(&lab)
        .env("CACHE_PATH", "cache")
        .env("CACHE_SIZE", "500MiB");
    let exited = program.run(&["check"]).await;
    assert_eq!(exited.code, Some(0));
    let folder = program.path("cache/inputs").display().to_string();
    let said =
        format!("good  cache: {folder} can be written and locked, 524288000 bytes at most\n");
    assert!(exited.stdout.contains(&said), "{}", exited.stdout);
}

#[tokio::test]
async fn without_a_bucket_name_no_bucket_is_checked() {
    let lab = lab().await;
    let program = worker_for(&lab)
        .unset("S3_BUCKET_NAME")
        .env("JOB_TYPES", "TEST");
    let exited = program.run(&["check"]).await;
    assert_eq!(exited.code, Some(0));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn a_wrong_configuration_is_reported_alone() {
    let exited = Program::bare().run(&["check"]).await;
    assert_eq!(exited.code, Some(78));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn every_bad_part_is_reported_and_the_first_decides_the_exit_code() {
    let lab = lab().await;
    let (_socket, port) = closed_port();
    let program = worker_for(&lab)
        .file("scratch", "this is not a folder")
        .env("DATA_SCRATCH_SPACE", "scratch")
        .file("cache", "this is not a folder, either")
        .env("CACHE_PATH", "cache")
        .env("API_ENDPOINT", format!("http://127.0.0.1:{port}"))
        .env("S3_BUCKET_NAME", "reefguide-prod");
    let exited = program.run(&["check"]).await;
    assert_eq!(exited.code, Some(78));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn a_wrong_password_is_bad() {
    let lab = lab().await;
    let program = worker_for(&lab).secret("WORKER_PASSWORD", "correct horse");
    let exited = program.run(&["check"]).await;
    assert_eq!(exited.code, Some(77));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn an_account_without_the_role_is_bad() {
    let lab = lab().await;
    let program = worker_for(&lab)
        .env("WORKER_USERNAME", "default@email.com")
        .env("JOB_TYPES", "TEST");
    let exited = program.run(&["check"]).await;
    assert_eq!(exited.code, Some(77));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn a_job_type_unknown_to_the_api_is_bad() {
    let lab = Lab::builder().start().await.unwrap();
    let exited = worker_for(&lab).run(&["check"]).await;
    assert_eq!(exited.code, Some(78));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn a_wrong_secret_key_is_bad() {
    let lab = lab().await;
    let program = worker_for(&lab)
        .secret("MINIO_PASSWORD", "correct horse")
        .env("JOB_TYPES", "TEST");
    let exited = program.run(&["check"]).await;
    assert_eq!(exited.code, Some(77));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn a_suspicious_setting_is_noted_and_fails_nothing() {
    let lab = lab().await;
    let program = worker_for(&lab).file(".env", "JOB_TYPE=TEST\n");
    let exited = program.run(&["check"]).await;
    assert_eq!(exited.code, Some(0));
    let note = "\nnote  configuration: JOB_TYPE is not a setting of the worker (.env, line 1); did you mean JOB_TYPES?\n";
    assert!(exited.stdout.contains(note), "{}", exited.stdout);
}

#[tokio::test]
async fn a_redirect_is_bad_and_names_the_address_to_configure() {
    let lab = lab().await;
    let to = "https://reefguide.example/api/auth/login";
    lab.faults().add(Fault::redirect(Route::Login, 301, to));
    let exited = worker_for(&lab).run(&["check"]).await;
    assert_eq!(exited.code, Some(78));
    let said = "the API redirects to https://reefguide.example: write that";
    assert!(exited.stdout.contains(said), "{}", exited.stdout);
}
