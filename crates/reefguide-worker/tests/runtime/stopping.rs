//! A worker stops for a reason, and leaves no job behind.

use std::sync::Arc;
use std::time::Duration;

use reefguide_lab::{Fault, Lab, Route};
use reefguide_worker::prelude::*;
use reefguide_worker::runtime::StopReason;
use reefguide_worker::source::reefguide::{Client, ReefGuide};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::fifo_probe::FifoProbe;
use crate::fixture::{Fixture, Running, in_time};

#[tokio::test]
async fn a_worker_asked_to_stop_lets_its_job_finish_and_claims_no_other() {
    let fixture = Fixture::start().await;
    let (first, second) = (fixture.submit_test(1), fixture.submit_test(2));
    let (started, finish) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (has_started, may_end) = (started.clone(), finish.clone());
    let worker = fixture.worker().handler_fn("TEST", move |_: Value, _| {
        let (has_started, may_end) = (has_started.clone(), may_end.clone());
        async move {
            has_started.add_permits(1);
            may_end.acquire().await?.forget();
            Ok(())
        }
    });
    let worker = Running::start(worker);
    in_time(started.acquire()).await.unwrap().forget();
    worker.ask();
    finish.add_permits(2);
    worker.stopped().await;
    let mut statuses = [fixture.status(first), fixture.status(second)];
    statuses.sort();
    assert_eq!(statuses, ["PENDING", "SUCCEEDED"]);
    assert!(fixture.scratch_is_empty());
}

#[tokio::test]
async fn a_worker_asked_to_stop_while_it_records_a_claim_does_not_send_the_claim() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let slow = Fault::delay(Route::S3Put, Duration::from_millis(500));
    fixture.lab.faults().add(slow.times(1));
    let worker = fixture.worker();
    let worker = Running::start(worker.handler_fn("TEST", |_: Value, _| async { Ok(()) }));
    in_time(async {
        while fixture.lab.faults().fired() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    worker.stop().await;
    assert_eq!(
        (fixture.status(job).as_str(), fixture.unresolved().await),
        ("PENDING", 0)
    );
}

#[tokio::test]
async fn a_job_that_does_not_finish_within_the_grace_is_reported_as_failed() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let mut options = fixture.options();
    options.shutdown_grace = Duration::from_secs(2);
    let started = Arc::new(Semaphore::new(0));
    let has_started = started.clone();
    let worker = fixture.worker().options(options);
    let worker = worker.handler_fn("TEST", move |_: Value, _| {
        has_started.add_permits(1);
        std::future::pending::<Result<(), JobError>>()
    });
    let worker = Running::start(worker);
    in_time(started.acquire()).await.unwrap().forget();
    let stopped = worker.stop().await;
    assert_eq!(fixture.status(job), "FAILED");
    assert_eq!(stopped.jobs.failed, 1);
    assert!(fixture.scratch_is_empty());
}

#[tokio::test]
async fn a_program_that_does_not_finish_within_the_grace_is_ended_and_its_job_failed() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let mut options = fixture.options();
    options.shutdown_grace = Duration::from_secs(4);
    let mut probe = FifoProbe::new();
    let script = "trap 'echo asked >&9; exit 1' TERM; echo begun >&9; sleep 600 & wait";
    let script = format!("exec 9>'{}'; {script}", probe.path.display());
    let program = Program::new("sh").args(["-c", &script]);
    let worker = fixture.worker().options(options);
    let worker = worker.handler_fn("TEST", move |input: Value, ctx: JobContext| {
        let program = program.clone();
        async move { program.run::<_, Value>(&input, &ctx).await }
    });
    let worker = Running::start(worker);
    probe.receives("begun").await;
    worker.stop().await;
    probe.receives("asked").await;
    probe.released().await;
    assert_eq!(fixture.status(job), "FAILED");
    assert!(fixture.scratch_is_empty());
}

#[tokio::test]
async fn a_computation_that_ignores_cancellation_does_not_delay_the_shutdown() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let mut options = fixture.options();
    options.shutdown_grace = Duration::from_secs(2);
    let (started, release) = (
        Arc::new(Semaphore::new(0)),
        std::sync::mpsc::channel::<()>(),
    );
    let waiting = Arc::new(std::sync::Mutex::new(release.1));
    let has_started = started.clone();
    let worker = fixture.worker().options(options);
    let worker = worker.handler_fn("TEST", move |_: Value, ctx: JobContext| {
        let (has_started, waiting) = (has_started.clone(), waiting.clone());
        async move {
            ctx.blocking(move || {
                has_started.add_permits(1);
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
    assert_eq!(fixture.status(job), "FAILED");
    drop(release.0);
}

#[tokio::test]
async fn an_idle_worker_stops() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let mut options = fixture.options();
    options.idle_timeout = Some(Duration::from_millis(300));
    let worker = fixture.worker().options(options);
    let worker = Running::start(worker.handler_fn("TEST", |_: Value, _| async { Ok(()) }));
    let stopped = worker.stopped().await;
    assert!(
        matches!(stopped.reason, StopReason::Idle(_)),
        "{}",
        stopped.reason
    );
    assert_eq!(fixture.status(job), "SUCCEEDED");
}

#[tokio::test]
async fn the_time_of_a_long_job_does_not_count_as_idle() {
    let fixture = Fixture::start().await;
    let long = fixture.submit_test(1);
    let idle = Duration::from_millis(500);
    let mut options = fixture.options();
    options.idle_timeout = Some(idle);
    let worker = fixture.worker().options(options);
    let worker = Running::start(
        worker.handler_fn("TEST", move |payload: Value, _| async move {
            if payload["id"] == 1 {
                tokio::time::sleep(idle * 2).await;
            }
            Ok(())
        }),
    );
    assert_eq!(fixture.ended(long).await, "SUCCEEDED");
    // The worker looks for work at once, and finds none.
    let polls = |lab: &Lab| {
        lab.requests()
            .iter()
            .filter(|r| r.route == Route::Poll)
            .count()
    };
    let before = polls(&fixture.lab);
    in_time(fixture.lab.wait_until(|lab| polls(lab) > before)).await;
    let next = fixture.submit_test(2);
    assert_eq!(fixture.ended(next).await, "SUCCEEDED");
    worker.stopped().await;
}

#[tokio::test]
async fn a_worker_is_not_idle_while_a_job_runs() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let mut options = fixture.options();
    options.slots = 2;
    options.idle_timeout = Some(Duration::from_millis(200));
    let polls = Arc::new(Semaphore::new(0));
    let enough = polls.clone();
    let worker = fixture.worker().options(options);
    let worker = Running::start(worker.handler_fn("TEST", move |_: Value, _| {
        let enough = enough.clone();
        async move {
            enough.acquire().await?.forget();
            Ok(())
        }
    }));
    // The second slot polls on for much longer than the idle time.
    in_time(fixture.lab.wait_until(|lab| {
        lab.requests()
            .iter()
            .filter(|request| request.route == Route::Poll)
            .count()
            > 20
    }))
    .await;
    polls.add_permits(1);
    worker.stopped().await;
    assert_eq!(fixture.status(job), "SUCCEEDED");
}

#[tokio::test]
async fn an_account_without_the_role_stops_the_worker() {
    let fixture = Fixture::start().await;
    let source = ReefGuide::builder(fixture.client_of("default@email.com")).build();
    let worker = fixture.worker().source(source);
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
    let fixture = Fixture::start().await;
    let client = Client::builder(fixture.lab.api_endpoint(), "worker@email.com", "wrong")
        .build()
        .unwrap();
    let worker = fixture.worker().source(ReefGuide::builder(client).build());
    let worker = Running::start(worker.handler_fn("TEST", |_: Value, _| async { Ok(()) }));
    let stopped = worker.stopped().await;
    assert!(
        matches!(stopped.reason, StopReason::Denied(_)),
        "{}",
        stopped.reason
    );
    let logins = fixture
        .lab
        .requests()
        .iter()
        .filter(|request| request.route == Route::Login)
        .count();
    assert_eq!(logins, 1);
}

#[tokio::test]
async fn an_api_outage_of_the_idle_time_stops_the_worker_as_unreachable() {
    let fixture = Fixture::with(Lab::builder()).await;
    fixture.lab.faults().add(Fault::status(Route::AnyApi, 503));
    let mut options = fixture.options();
    options.idle_timeout = Some(Duration::from_millis(300));
    let worker = fixture.worker().options(options);
    let worker = Running::start(worker.handler_fn("TEST", |_: Value, _| async { Ok(()) }));
    let stopped = worker.stopped().await;
    assert!(
        matches!(stopped.reason, StopReason::Unreachable(_)),
        "{}",
        stopped.reason
    );
}
