//! An outcome reaches the API, whatever happens on the way.

use reefguide_lab::{Fault, Route};
use reefguide_worker::handler::JobContext;
use reefguide_worker::job::JobStatus;
use serde_json::Value;

use crate::rig::{Rig, Running};

/// Runs one job while a fault is set, and returns its status and how many results were posted.
async fn with_fault(fault: Fault) -> (String, usize) {
    let rig = Rig::start().await;
    rig.lab.faults().add(fault);
    let job = rig.submit_test(1);
    let worker = rig
        .worker()
        .await
        .handler_fn("TEST", |_: Value, _| async { Ok(()) });
    let worker = Running::start(worker);
    let status = rig.ended(job).await;
    let stopped = worker.stop().await;
    assert_eq!((stopped.jobs.succeeded, stopped.jobs.undelivered), (1, 0));
    assert!(rig.lab.faults().fired() > 0, "the fault never struck");
    let posts = rig
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
async fn an_outage_of_the_api_is_waited_out() {
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
async fn a_token_that_ends_just_then_is_replaced() {
    let (status, _) = with_fault(Fault::expire_tokens(Route::Result).times(1)).await;
    assert_eq!(status, "SUCCEEDED");
}

#[tokio::test]
async fn a_job_that_somebody_else_reported_as_failed_does_not_count_as_a_success() {
    let rig = Rig::start().await;
    let job = rig.submit_test(1);
    let other = rig.client_of("worker@email.com");
    let mut options = rig.options();
    options.watch_interval = None;
    let worker = rig.worker().await.options(options);
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
    assert_eq!(rig.ended(job).await, "FAILED");
    let stopped = worker.stop().await;
    assert_eq!((stopped.jobs.given_up, stopped.jobs.succeeded), (1, 0));
    assert!(rig.outputs(job).await.is_empty());
    assert_eq!(rig.unsettled().await, 0);
}
