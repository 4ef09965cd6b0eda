//! Only one worker runs a job, even if the server assigns it to several.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reefguide_lab::{Fault, Lab, Route};
use reefguide_worker::job::JobId;
use reefguide_worker::prelude::*;
use reefguide_worker::runtime::WorkerBuilder;
use reefguide_worker::source::{Claimed, JobSource, SourceError};

use crate::fixture::{Fixture, Running, in_time};

/// How often each job was run.
type Runs = Arc<Mutex<HashMap<JobId, usize>>>;

fn counting(worker: WorkerBuilder, runs: &Runs) -> WorkerBuilder {
    let runs = runs.clone();
    worker.handler_fn("TEST", move |_: serde_json::Value, ctx: JobContext| {
        *runs
            .lock()
            .unwrap()
            .entry(ctx.job().id.clone())
            .or_default() += 1;
        async { Ok(()) }
    })
}

/// Lets `workers` race for `jobs`, and returns how often each job was run.
async fn race(workers: usize, jobs: i64, fenced: bool) -> HashMap<JobId, usize> {
    let fixture = Fixture::with(Lab::builder().assign_race(Duration::from_millis(20))).await;
    let submitted: Vec<_> = (0..jobs).map(|id| fixture.submit_test(id)).collect();
    let runs = Runs::default();
    let storage = fixture.storage();
    let running: Vec<_> = (0..workers)
        .map(|_| {
            let source = fixture.source().settle(Duration::from_millis(250));
            let source = if fenced {
                source
            } else {
                source.without_fence()
            };
            let worker = Worker::builder()
                .source(source.build())
                .storage(storage.clone())
                .options(fixture.options());
            Running::start(counting(worker, &runs))
        })
        .collect();
    for job in submitted {
        assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    }
    for worker in &running {
        worker.ask();
    }
    for worker in running {
        worker.stopped().await;
    }
    let runs = runs.lock().unwrap();
    assert_eq!(runs.len(), usize::try_from(jobs).unwrap());
    runs.clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_job_is_run_exactly_once_by_twenty_workers_that_race_for_it() {
    let runs = race(20, 100, true).await;
    let doubled: Vec<_> = runs.iter().filter(|(_, times)| **times > 1).collect();
    assert!(doubled.is_empty(), "run more than once: {doubled:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_fence_jobs_are_run_more_than_once() {
    let runs = race(20, 30, false).await;
    assert!(
        runs.values().any(|times| *times > 1),
        "the race never happened"
    );
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_found_again() {
    let fixture = Fixture::start().await;
    fixture
        .lab
        .faults()
        .add(Fault::lost_answer(Route::Assign).times(1));
    let job = fixture.submit_test(1);
    let runs = Runs::default();
    let worker = Running::start(counting(fixture.worker(), &runs));
    assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    worker.stop().await;
    assert_eq!(fixture.lab.faults().fired(), 1);
    assert_eq!(
        fixture.lab.job(job).unwrap()["assignments"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_claim_succeeds_although_reading_it_back_fails_at_first() {
    for status in [500, 400] {
        let fixture = Fixture::start().await;
        let fault = Fault::status(Route::Job, status).times(2);
        fixture.lab.faults().add(fault);
        let job = fixture.submit_test(1);
        let runs = Runs::default();
        let worker = Running::start(counting(fixture.worker(), &runs));
        assert_eq!(fixture.ended(job).await, "SUCCEEDED", "after {status}");
        worker.stop().await;
        assert_eq!(runs.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_worker_that_lost_the_race_reports_nothing() {
    let fixture = Fixture::with(Lab::builder().assign_race(Duration::from_millis(200))).await;
    let job = fixture.submit_test(1);
    let (first, second) = (Runs::default(), Runs::default());
    let workers = [
        Running::start(counting(fixture.worker(), &first)),
        Running::start(counting(fixture.worker(), &second)),
    ];
    fixture.ended(job).await;
    in_time(fixture.lab.wait_until(|lab| {
        let answered = |route| {
            lab.requests()
                .iter()
                .filter(|request| request.route == route)
                .count()
        };
        answered(Route::Job) >= answered(Route::Assign)
    }))
    .await;
    let mut wasted = 0;
    for worker in workers {
        wasted += worker.stop().await.jobs.fenced;
    }
    assert_eq!((wasted, fixture.unresolved().await), (1, 0));
    let winners = [&first, &second]
        .into_iter()
        .filter(|runs| !runs.lock().unwrap().is_empty());
    assert_eq!(winners.count(), 1);
    let results = fixture
        .lab
        .requests()
        .iter()
        .filter(|request| request.route == Route::Result)
        .count();
    assert_eq!(results, 1);
}

/// The result of a claim while the API answers every claim with `status`.
async fn claimed_despite(fixture: &Fixture, status: u16) -> Result<Claimed, SourceError> {
    let source = fixture.source().build();
    let offered = source.poll(&"TEST".into()).await.unwrap();
    fixture
        .lab
        .faults()
        .add(Fault::status(Route::Assign, status));
    source.claim(&offered[0]).await
}

#[tokio::test]
async fn a_claim_that_may_still_take_effect_stays_open_as_long_as_its_job() {
    let fixture = Fixture::start().await;
    fixture.submit_test(1);
    let claimed = claimed_despite(&fixture, 500).await;
    assert!(matches!(claimed, Ok(Claimed::Unknown(_))), "{claimed:?}");
}

#[tokio::test]
async fn a_claim_on_a_job_that_has_ended_is_not_waited_for() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let source = fixture.source().build();
    let offered = source.poll(&"TEST".into()).await.unwrap();
    fixture.lab.faults().add(Fault::status(Route::Assign, 500));
    let client = fixture.client_of("worker@email.com");
    client.cancel(&job.into()).await.unwrap();
    let claimed = source.claim(&offered[0]).await;
    assert!(matches!(claimed, Ok(Claimed::Taken)), "{claimed:?}");
}

#[tokio::test]
async fn a_claim_that_was_certainly_denied_is_not_read_back() {
    let fixture = Fixture::start().await;
    fixture.submit_test(1);
    let claimed = claimed_despite(&fixture, 403).await;
    assert!(
        matches!(claimed, Err(SourceError::Denied { .. })),
        "{claimed:?}"
    );
}
