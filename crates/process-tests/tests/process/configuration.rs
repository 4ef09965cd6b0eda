//! A wrong configuration ends the worker before it sends any request.

use crate::fixture::{assert_shown, lab, worker_for};
use crate::program::Program;

#[tokio::test]
async fn a_worker_without_settings_lists_all_that_it_needs() {
    let exited = Program::bare().run(&[]).await;
    assert_eq!(exited.code, Some(78));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn every_wrong_value_is_named_at_once_and_no_request_is_sent() {
    let lab = lab().await;
    let program = worker_for(&lab)
        .env("API_ENDPOINT", format!("{}/api", lab.api_endpoint()))
        .env("MAX_CONCURRENT_JOBS", "0")
        .env("POLL_INTERVAL_MS", "2s")
        .env("PORT", "99999")
        .env("RUST_LOG", "worker=loud")
        .secret("MINIO_PASSWORD", "correct horse battery")
        .unset("MINIO_USERNAME");
    let exited = program.run(&[]).await;
    assert_eq!(exited.code, Some(78));
    assert_shown!(exited.shown());
    assert_eq!(lab.requests().len(), 0);
}

#[tokio::test]
async fn unusable_files_are_named() {
    let program = Program::bare()
        .file("worker.toml", "poll_intervall_ms = 2000\n")
        .file(".env", "WORKER_PASSWORD='correct horse\n");
    let exited = program.run(&[]).await;
    assert_eq!(exited.code, Some(78));
    assert!(!exited.shown().contains("correct horse"));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn a_job_type_without_a_handler_stops_the_start() {
    let lab = lab().await;
    let job = lab.submit("CORAL_COUNT", Default::default()).unwrap();
    let program = worker_for(&lab).env("JOB_TYPES", "TEST, CORAL_COUNT");
    let exited = program.run(&[]).await;
    assert_eq!(exited.code, Some(78));
    assert_shown!(exited.shown());
    assert_eq!(crate::fixture::status(&lab, job), "PENDING");
}

#[tokio::test]
async fn an_unknown_command_is_a_wrong_command_line() {
    let exited = Program::bare().run(&["rum"]).await;
    assert_eq!(exited.code, Some(2));
    assert_shown!(exited.shown());
}
