//! An outcome reaches the API despite faults on the way.

use reefguide_lab::{Fault, Route};
use reefguide_worker::handler::JobContext;
use reefguide_worker::job::JobStatus;
use serde_json::Value;

use crate::fixture::{Fixture, Running};

/// Runs one job while a fault is set, and returns its status and how many results were posted.
async fn with_fault(fault: Fault) -> (String, usize) {
    let fixture = Fixture::start().await;
    fixture.lab.faults().add(fault);
    let job = fixture.submit_test(1);
    let worker = fixture
        .worker()
        .handler_fn("TEST", |_: Value, _| async { Ok(()) });
    let worker = Running::start(worker);
    let status = fixture.ended(job).await;
    let stopped = worker.stop().await;
    assert_eq!((stopped.jobs.succeeded, stopped.jobs.undelivered), (1, 0));
    assert!(fixture.lab.faults().fired() > 0, "the fault never struck");
    let posts = fixture
        .lab
        .requests()
        .iter()
        .filter(|request| request.route == Route::Result)
        .count();
    (status, posts)
}

#[tokio::test]
async fn a_result_whose_answer_was_lost_is_recorded_once() {
    let (status, posts) = with_fault(Fault::lost_answer(Route::Result).times(1)).await;
    assert_eq!((status.as_str(), posts), ("SUCCEEDED", 2));
}

#[tokio::test]
async fn a_result_is_delivered_once_an_outage_of_the_api_is_over() {
    for fault in [
        Fault::status(Route::Result, 500).times(2),
        Fault::status(Route::Result, 502).times(2),
        Fault::reset(Route::Result).times(2),
    ] {
        let (status, posts) = with_fault(fault).await;
        assert_eq!((status.as_str(), posts), ("SUCCEEDED", 3));
    }
}

#[tokio::test]
async fn a_token_that_expires_during_delivery_is_replaced() {
    let (status, _) = with_fault(Fault::expire_tokens(Route::Result).times(1)).await;
    assert_eq!(status, "SUCCEEDED");
}

#[tokio::test]
async fn a_job_that_another_worker_reported_as_failed_does_not_count_as_a_success() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let other = fixture.client_of("worker@email.com");
    let mut options = fixture.options();
    options.watch_interval = None;
    let worker = fixture.worker().options(options);
    let worker = worker.handler_fn("TEST", move |_: Value, ctx: JobContext| {
        let other = other.clone();
        async move {
            let assignment = &ctx.assignment().id;
            other
                .post_result(assignment, &JobStatus::Failed, None)
                .await?;
            Ok(())
        }
    });
    let worker = Running::start(worker);
    assert_eq!(fixture.ended(job).await, "FAILED");
    let stopped = worker.stop().await;
    assert_eq!((stopped.jobs.given_up, stopped.jobs.succeeded), (1, 0));
    assert!(fixture.outputs(job).await.is_empty());
    assert_eq!(fixture.unresolved().await, 0);
}
