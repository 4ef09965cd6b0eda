//! How a worker ends at a signal.

use std::time::Duration;

use reefguide_lab::{Fault, Lab, Route};
use serde_json::json;

use crate::fixture::{closed_port, lab, status, submit_test, worker_for};
use crate::program::Program;

/// Submits a job whose handler waits this long for its input, and then fails.
fn submit_slow(lab: &Lab, wait: Duration) -> i64 {
    lab.faults().add(Fault::delay(Route::S3Get, wait));
    let source = format!("s3://{}/none.csv", lab.bucket());
    lab.submit("COPY", json!({ "source": source })).unwrap()
}

#[tokio::test]
async fn a_job_under_way_is_finished_after_sigterm_and_no_other_is_claimed() {
    let lab = lab().await;
    let outage = lab.faults().add(Fault::status(Route::Result, 503));
    let jobs = [submit_test(&lab, 1), submit_test(&lab, 2)];
    let program = worker_for(&lab);
    let mut worker = program.start(&[]);
    worker.logs("outcome not delivered yet").await;
    worker.signal("TERM").await;
    worker.logs("stopping: no further job is claimed").await;
    lab.faults().remove(outage);
    assert_eq!(worker.exited().await.code, Some(0));
    let mut statuses = jobs.map(|job| status(&lab, job));
    statuses.sort();
    assert_eq!(statuses, ["PENDING", "SUCCEEDED"]);
}

#[tokio::test]
async fn a_handler_that_does_not_end_within_the_grace_is_cancelled_and_its_job_failed() {
    let lab = lab().await;
    let job = submit_slow(&lab, Duration::from_secs(600));
    let program = worker_for(&lab).env("SHUTDOWN_GRACE_MS", "2000");
    let mut worker = program.start(&[]);
    worker.logs("job claimed").await;
    let exited = worker.stop().await;
    assert_eq!(exited.code, Some(0));
    assert_eq!(status(&lab, job), "FAILED");
    assert!(exited.stderr.contains("cancelled: "), "{}", exited.stderr);
}

#[tokio::test]
async fn an_idle_worker_ends_at_once_on_each_signal() {
    let lab = lab().await;
    for signal in ["TERM", "INT", "HUP"] {
        let program = worker_for(&lab).env("POLL_INTERVAL_MS", "600000");
        let mut worker = program.start(&[]);
        worker.logs("claims use a local identity").await;
        worker.signal(signal).await;
        let exited = worker.exited().await;
        assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    }
}

#[tokio::test]
async fn a_worker_that_still_waits_for_the_api_ends_at_once() {
    let (_socket, port) = closed_port();
    let program = Program::bare()
        .env("API_ENDPOINT", format!("http://127.0.0.1:{port}"))
        .env("WORKER_USERNAME", "worker@email.com")
        .env("WORKER_PASSWORD", "password");
    let mut worker = program.start(&[]);
    worker.logs("API not ready yet").await;
    assert_eq!(worker.stop().await.code, Some(0));
}

#[tokio::test]
async fn a_second_signal_ends_the_worker_at_once_and_leaves_no_scratch() {
    for (first, second, code) in [
        ("TERM", "TERM", 143),
        ("INT", "INT", 130),
        ("TERM", "INT", 130),
        ("INT", "HUP", 129),
        ("HUP", "HUP", 129),
    ] {
        let lab = lab().await;
        let job = submit_slow(&lab, Duration::from_secs(600));
        let program = worker_for(&lab).env("SHUTDOWN_GRACE_MS", "600000");
        let mut worker = program.start(&[]);
        worker.logs("attempt started").await;
        worker.signal(first).await;
        worker
            .logs("a second signal ends the process at once")
            .await;
        assert!(!program.temporary_is_empty(), "there is no scratch yet");
        worker.signal(second).await;
        // This also checks that no scratch is left.
        let exited = worker.exited().await;
        assert_eq!(exited.code, Some(code), "{}", exited.stderr);
        assert_eq!(status(&lab, job), "IN_PROGRESS");
    }
}
