//! A worker stops for a reason, and leaves no job behind.

use std::sync::Arc;
use std::time::Duration;

use reefguide_lab::{Fault, Lab, Route};
use reefguide_worker::prelude::*;
use reefguide_worker::runtime::StopReason;
use reefguide_worker::source::reefguide::{Client, ReefGuide};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::rig::{Rig, Running, in_time};
use crate::witness::Witness;

#[tokio::test]
async fn a_worker_asked_to_stop_lets_its_job_finish_and_claims_no_other() {
    let rig = Rig::start().await;
    let (first, second) = (rig.submit_test(1), rig.submit_test(2));
    let (started, finish) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (begun, may_end) = (started.clone(), finish.clone());
    let worker = rig.worker().await.handler_fn("TEST", move |_: Value, _| {
        let (begun, may_end) = (begun.clone(), may_end.clone());
        async move {
            begun.add_permits(1);
            may_end.acquire().await?.forget();
            Ok(())
        }
    });
    let worker = Running::start(worker);
    in_time(started.acquire()).await.unwrap().forget();
    worker.ask();
    finish.add_permits(2);
    worker.stopped().await;
    let mut statuses = [rig.status(first), rig.status(second)];
    statuses.sort();
    assert_eq!(statuses, ["PENDING", "SUCCEEDED"]);
    assert!(rig.scratch_is_empty());
}

#[tokio::test]
async fn a_worker_asked_to_stop_while_it_records_a_claim_does_not_make_it() {
    let rig = Rig::start().await;
    let job = rig.submit_test(1);
    let slow = Fault::delay(Route::S3Put, Duration::from_millis(500));
    rig.lab.faults().add(slow.times(1));
    let worker = rig.worker().await;
    let worker = Running::start(worker.handler_fn("TEST", |_: Value, _| async { Ok(()) }));
    in_time(async {
        while rig.lab.faults().fired() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    worker.stop().await;
    assert_eq!(
        (rig.status(job).as_str(), rig.unsettled().await),
        ("PENDING", 0)
    );
}

#[tokio::test]
async fn a_job_that_does_not_finish_within_the_grace_is_reported_as_failed() {
    let rig = Rig::start().await;
    let job = rig.submit_test(1);
    let mut options = rig.options();
    options.shutdown_grace = Duration::from_secs(2);
    let started = Arc::new(Semaphore::new(0));
    let begun = started.clone();
    let worker = rig.worker().await.options(options);
    let worker = worker.handler_fn("TEST", move |_: Value, _| {
        begun.add_permits(1);
        std::future::pending::<Result<(), JobError>>()
    });
    let worker = Running::start(worker);
    in_time(started.acquire()).await.unwrap().forget();
    let stopped = worker.stop().await;
    assert_eq!(rig.status(job), "FAILED");
    assert_eq!(stopped.jobs.failed, 1);
    assert!(rig.scratch_is_empty());
}

#[tokio::test]
async fn a_program_that_does_not_finish_within_the_grace_is_ended_and_its_job_failed() {
    let rig = Rig::start().await;
    let job = rig.submit_test(1);
    let mut options = rig.options();
    options.shutdown_grace = Duration::from_secs(4);
    let mut witness = Witness::new();
    let script = "trap 'echo asked >&9; exit 1' TERM; echo begun >&9; sleep 600 & wait";
    let program = witness.watch(script);
    let worker = rig.worker().await.options(options);
    let worker = worker.handler_fn("TEST", move |input: Value, ctx: JobContext| {
        let program = program.clone();
        async move { program.run::<_, Value>(&input, &ctx).await }
    });
    let worker = Running::start(worker);
    assert_eq!(witness.says().await, "begun");
    worker.stop().await;
    assert_eq!(witness.gone().await, ["asked"]);
    assert_eq!(rig.status(job), "FAILED");
    assert!(rig.scratch_is_empty());
}

#[tokio::test]
async fn a_computation_that_never_looks_up_does_not_hold_up_the_shutdown() {
    let rig = Rig::start().await;
    let job = rig.submit_test(1);
    let mut options = rig.options();
    options.shutdown_grace = Duration::from_secs(2);
    let (started, release) = (
        Arc::new(Semaphore::new(0)),
        std::sync::mpsc::channel::<()>(),
    );
    let waiting = Arc::new(std::sync::Mutex::new(release.1));
    let begun = started.clone();
    let worker = rig.worker().await.options(options);
    let worker = worker.handler_fn("TEST", move |_: Value, ctx: JobContext| {
        let (begun, waiting) = (begun.clone(), waiting.clone());
        async move {
            ctx.blocking(move || {
                begun.add_permits(1);
                // Ends with the test, when the sender is dropped.
                let _ = waiting.lock().unwrap().recv();
                Ok(())
            })
            .await
        }
    });
    let worker = Running::start(worker);
    in_time(started.acquire()).await.unwrap().forget();
    worker.stop().await;
    assert_eq!(rig.status(job), "FAILED");
    drop(release.0);
}

#[tokio::test]
async fn an_idle_worker_leaves() {
    let rig = Rig::start().await;
    let job = rig.submit_test(1);
    let mut options = rig.options();
    options.idle_timeout = Some(Duration::from_millis(300));
    let worker = rig.worker().await.options(options);
    let worker = Running::start(worker.handler_fn("TEST", |_: Value, _| async { Ok(()) }));
    let stopped = worker.stopped().await;
    assert!(
        matches!(stopped.reason, StopReason::Idle(_)),
        "{}",
        stopped.reason
    );
    assert_eq!(rig.status(job), "SUCCEEDED");
}

#[tokio::test]
async fn the_time_of_a_long_job_does_not_count_as_idle() {
    let rig = Rig::start().await;
    let long = rig.submit_test(1);
    let idle = Duration::from_millis(500);
    let mut options = rig.options();
    options.idle_timeout = Some(idle);
    let worker = rig.worker().await.options(options);
    let worker = Running::start(
        worker.handler_fn("TEST", move |payload: Value, _| async move {
            if payload["id"] == 1 {
                tokio::time::sleep(idle * 2).await;
            }
            Ok(())
        }),
    );
    assert_eq!(rig.ended(long).await, "SUCCEEDED");
    // The worker looks for work at once, and finds none.
    let polls = |lab: &Lab| {
        lab.requests()
            .iter()
            .filter(|r| r.route == Route::Poll)
            .count()
    };
    let before = polls(&rig.lab);
    in_time(rig.lab.wait_until(|lab| polls(lab) > before)).await;
    let next = rig.submit_test(2);
    assert_eq!(rig.ended(next).await, "SUCCEEDED");
    worker.stopped().await;
}

#[tokio::test]
async fn a_worker_is_not_idle_while_a_job_runs() {
    let rig = Rig::start().await;
    let job = rig.submit_test(1);
    let mut options = rig.options();
    options.slots = 2;
    options.idle_timeout = Some(Duration::from_millis(200));
    let polls = Arc::new(Semaphore::new(0));
    let enough = polls.clone();
    let worker = rig.worker().await.options(options);
    let worker = Running::start(worker.handler_fn("TEST", move |_: Value, _| {
        let enough = enough.clone();
        async move {
            enough.acquire().await?.forget();
            Ok(())
        }
    }));
    // The second slot polls on for much longer than the idle time.
    in_time(rig.lab.wait_until(|lab| {
        lab.requests()
            .iter()
            .filter(|request| request.route == Route::Poll)
            .count()
            > 20
    }))
    .await;
    polls.add_permits(1);
    worker.stopped().await;
    assert_eq!(rig.status(job), "SUCCEEDED");
}

#[tokio::test]
async fn an_account_without_the_role_stops_the_worker() {
    let rig = Rig::start().await;
    let source = ReefGuide::builder(rig.client_of("default@email.com")).build();
    let worker = rig.worker().await.source(source);
    let worker = Running::start(worker.handler_fn("TEST", |_: Value, _| async { Ok(()) }));
    let stopped = worker.stopped().await;
    assert!(
        matches!(stopped.reason, StopReason::Denied(_)),
        "{}",
        stopped.reason
    );
}

#[tokio::test]
async fn a_wrong_password_stops_the_worker_after_one_login() {
    let rig = Rig::start().await;
    let client = Client::builder(rig.lab.api_endpoint(), "worker@email.com", "wrong")
        .build()
        .unwrap();
    let worker = rig
        .worker()
        .await
        .source(ReefGuide::builder(client).build());
    let worker = Running::start(worker.handler_fn("TEST", |_: Value, _| async { Ok(()) }));
    let stopped = worker.stopped().await;
    assert!(
        matches!(stopped.reason, StopReason::Denied(_)),
        "{}",
        stopped.reason
    );
    let logins = rig
        .lab
        .requests()
        .iter()
        .filter(|request| request.route == Route::Login)
        .count();
    assert_eq!(logins, 1);
}

#[tokio::test]
async fn an_api_that_stays_away_stops_the_worker_as_unreachable() {
    let rig = Rig::with(Lab::builder()).await;
    rig.lab.faults().add(Fault::status(Route::AnyApi, 503));
    let mut options = rig.options();
    options.idle_timeout = Some(Duration::from_millis(300));
    let worker = rig.worker().await.options(options);
    let worker = Running::start(worker.handler_fn("TEST", |_: Value, _| async { Ok(()) }));
    let stopped = worker.stopped().await;
    assert!(
        matches!(stopped.reason, StopReason::Unreachable(_)),
        "{}",
        stopped.reason
    );
}
