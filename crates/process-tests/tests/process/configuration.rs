//! A configuration that is wrong ends the worker before it asks anybody anything.

use crate::program::Program;
use crate::rig::{assert_shown, lab, worker_for};

#[tokio::test]
async fn a_worker_that_is_given_nothing_says_all_that_it_needs() {
    let ended = Program::bare().run(&[]).await;
    assert_eq!(ended.code, Some(78));
    assert_shown!(ended.shown());
}

#[tokio::test]
async fn every_wrong_value_is_named_at_once_and_nobody_is_asked() {
    let lab = lab().await;
    let program = worker_for(&lab)
        .env("API_ENDPOINT", format!("{}/api", lab.api_endpoint()))
        .env("MAX_CONCURRENT_JOBS", "0")
        .env("POLL_INTERVAL_MS", "2s")
        .env("PORT", "99999")
        .env("RUST_LOG", "worker=loud")
        .secret("MINIO_PASSWORD", "correct horse battery")
        .unset("MINIO_USERNAME");
    let ended = program.run(&[]).await;
    assert_eq!(ended.code, Some(78));
    assert_shown!(ended.shown());
    assert_eq!(lab.requests().len(), 0);
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let program = Program::bare()
        .file("worker.toml", "poll_intervall_ms = 2000\n")
        .file(".env", "WORKER_PASSWORD='correct horse\n");
    let ended = program.run(&[]).await;
    assert_eq!(ended.code, Some(78));
    assert!(!ended.shown().contains("correct horse"));
    assert_shown!(ended.shown());
}

#[tokio::test]
async fn a_job_type_without_a_handler_stops_the_start() {
    let lab = lab().await;
    let job = lab.submit("CORAL_COUNT", Default::default()).unwrap();
    let program = worker_for(&lab).env("JOB_TYPES", "TEST, CORAL_COUNT");
    let ended = program.run(&[]).await;
    assert_eq!(ended.code, Some(78));
    assert_shown!(ended.shown());
    assert_eq!(crate::rig::status(&lab, job), "PENDING");
}

#[tokio::test]
async fn a_command_that_does_not_exist_is_a_wrong_command_line() {
    let ended = Program::bare().run(&["rum"]).await;
    assert_eq!(ended.code, Some(2));
    assert_shown!(ended.shown());
}
