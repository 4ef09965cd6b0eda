//! The claims of dead workers are resolved from their records.

use std::sync::Arc;
use std::time::Duration;

use reefguide_lab::{Fault, Lab, RequestRecord, Route};
use reefguide_worker::job::{JobId, Outcome};
use reefguide_worker::ledger::{Recovery, Resolution, SweepReport};
use reefguide_worker::prelude::*;
use reefguide_worker::runtime::{RunOptions, WorkerBuilder};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::fixture::{Doomed, Fixture, Running, in_time};

/// Short enough for a test to wait for five of them.
const INTERVAL: Duration = Duration::from_millis(100);

fn options(fixture: &Fixture) -> RunOptions {
    let mut options = fixture.options();
    options.record_interval = INTERVAL;
    options
}

/// A worker whose jobs store a file.
fn storing(fixture: &Fixture) -> WorkerBuilder {
    let worker = fixture.worker().options(options(fixture));
    worker.handler_fn("TEST", |_: Value, ctx: JobContext| async move {
        ctx.outputs().write("a.txt", "a").await?;
        Ok(())
    })
}

/// A worker whose jobs signal their start, and end when they are released.
fn waiting(fixture: &Fixture, started: &Arc<Semaphore>, let_go: &Arc<Semaphore>) -> WorkerBuilder {
    let (started, let_go) = (started.clone(), let_go.clone());
    let worker = fixture.worker().options(options(fixture));
    worker.handler_fn("TEST", move |_: Value, _| {
        let (started, let_go) = (started.clone(), let_go.clone());
        async move {
            started.add_permits(1);
            let_go.acquire().await?.forget();
            Ok(())
        }
    })
}

fn semaphore() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(0))
}

async fn taken(semaphore: &Semaphore) {
    in_time(semaphore.acquire()).await.unwrap().forget();
}

fn sweeps_so_far(fixture: &Fixture) -> usize {
    let requests = fixture.lab.requests();
    let sweeps = requests.iter().filter(|r| r.route == Route::S3List);
    sweeps.count()
}

async fn answered(fixture: &Fixture, times: usize, which: impl Fn(&RequestRecord) -> bool) {
    let enough = |lab: &Lab| lab.requests().iter().filter(|r| which(r)).count() >= times;
    in_time(fixture.lab.wait_until(enough)).await;
}

#[tokio::test]
async fn a_job_whose_worker_died_is_reported_as_failed_by_another() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let started = semaphore();
    let doomed = Doomed::start(waiting(&fixture, &started, &semaphore()));
    taken(&started).await;
    doomed.kill();
    assert_eq!(
        (fixture.status(job).as_str(), fixture.unresolved().await),
        ("IN_PROGRESS", 1)
    );

    let worker = Running::start(storing(&fixture));
    assert_eq!(fixture.ended(job).await, "FAILED");
    let stopped = worker.stop().await;
    assert_eq!((stopped.jobs.recovered, stopped.jobs.failed), (1, 0));
    assert_eq!(fixture.unresolved().await, 0);
}

#[tokio::test]
async fn a_success_whose_worker_died_before_it_could_report_it_is_delivered_by_another() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let outage = fixture.lab.faults().add(Fault::status(Route::Result, 503));
    let doomed = Doomed::start(storing(&fixture));
    answered(&fixture, 1, |request| request.route == Route::Result).await;
    doomed.kill();
    fixture.lab.faults().remove(outage);

    let worker = Running::start(storing(&fixture));
    assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    worker.stop().await;
    assert_eq!(fixture.outputs(job).await, ["a.txt"]);
    assert_eq!(
        fixture.lab.job(job).unwrap()["assignments"][0]["result"]["result_payload"],
        json!({})
    );
    assert_eq!(fixture.unresolved().await, 0);
}

#[tokio::test]
async fn a_failure_that_cannot_be_reported_is_in_the_record_with_its_reason() {
    let fixture = Fixture::start().await;
    fixture.submit_test(1);
    fixture.lab.faults().add(Fault::status(Route::Result, 503));
    let worker = fixture.worker().options(options(&fixture));
    let doomed = Doomed::start(worker.handler_fn("TEST", |_: Value, _| async {
        Err::<(), _>(JobError::permanent("the reef is gone"))
    }));
    // The note of the first try is stored before the second.
    answered(&fixture, 2, |request| request.route == Route::Result).await;
    doomed.kill();
    let recovery = Recovery::new(
        fixture.source().build(),
        fixture.storage(),
        fixture.records(),
    );
    let records = recovery.records().await.unwrap();
    let outcomes = records
        .into_iter()
        .map(|(_, record)| record.unwrap().outcome);
    let reason = "the reef is gone".to_owned();
    assert_eq!(
        outcomes.collect::<Vec<_>>(),
        [Some(Outcome::Failed { reason })]
    );
}

#[tokio::test]
async fn a_success_that_a_stopping_worker_could_not_report_is_delivered_by_the_next() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let outage = fixture.lab.faults().add(Fault::status(Route::Result, 503));
    let mut short = options(&fixture);
    short.shutdown_grace = Duration::from_secs(1);
    let worker = Running::start(storing(&fixture).options(short));
    answered(&fixture, 1, |request| request.route == Route::Result).await;
    let stopped = worker.stop().await;
    assert_eq!((stopped.jobs.undelivered, stopped.jobs.recovered), (1, 0));
    fixture.lab.faults().remove(outage);

    let worker = Running::start(storing(&fixture));
    assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    assert_eq!(worker.stop().await.jobs.recovered, 1);
    assert_eq!(fixture.unresolved().await, 0);
}

#[tokio::test]
async fn outputs_that_a_worker_had_stored_when_it_died_are_removed() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let worker = fixture.worker().options(options(&fixture));
    let worker = worker.handler_fn("TEST", |_: Value, ctx: JobContext| async move {
        ctx.outputs().write("small", "a").await?;
        ctx.outputs().write("large", vec![0; 17 << 20]).await?;
        Ok(())
    });
    // The upload of the second file never ends.
    let stuck = Fault::delay(Route::S3UploadPart, Duration::from_secs(600));
    let stuck = fixture.lab.faults().add(stuck);
    let doomed = Doomed::start(worker);
    answered(&fixture, 1, |request| request.path.contains("/small")).await;
    answered(&fixture, 1, |request| {
        request.route == Route::S3CreateUpload
    })
    .await;
    doomed.kill();
    fixture.lab.faults().remove(stuck);
    assert_eq!(fixture.outputs(job).await, ["small"]);

    let worker = Running::start(storing(&fixture));
    assert_eq!(fixture.ended(job).await, "FAILED");
    worker.stop().await;
    assert!(fixture.outputs(job).await.is_empty());
    assert_eq!(fixture.unresolved().await, 0);
}

#[tokio::test]
async fn the_claim_of_a_live_worker_is_left_alone() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let (started, let_go) = (semaphore(), semaphore());
    let working = Running::start(waiting(&fixture, &started, &let_go));
    taken(&started).await;
    let sweeping = Running::start(storing(&fixture));
    // Twice as long as it takes for a dead worker to be recognised.
    let sweeps = |request: &RequestRecord| request.route == Route::S3List;
    answered(&fixture, 20, sweeps).await;
    let mut recovery = Recovery::new(
        fixture.source().build(),
        fixture.storage(),
        fixture.records(),
    );
    let report = recovery.sweep().await.unwrap();
    assert_eq!(
        (report.dead.len(), report.alive, report.undecided),
        (0, 0, 1)
    );
    answered(&fixture, sweeps_so_far(&fixture) + 5, sweeps).await;
    let report = recovery.sweep().await.unwrap();
    assert_eq!(
        (report.dead.len(), report.alive, report.undecided),
        (0, 1, 0)
    );
    assert_eq!(fixture.status(job), "IN_PROGRESS");
    let_go.add_permits(1);
    assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    assert_eq!(sweeping.stop().await.jobs.recovered, 0);
    assert_eq!(working.stop().await.jobs.succeeded, 1);
    assert_eq!(fixture.unresolved().await, 0);
}

#[tokio::test]
async fn a_claim_that_could_not_be_confirmed_is_resolved_by_the_worker_that_made_it() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    fixture
        .lab
        .faults()
        .add(Fault::status(Route::Job, 400).times(5));
    let worker = Running::start(storing(&fixture));
    assert_eq!(fixture.ended(job).await, "FAILED");
    let stopped = worker.stop().await;
    assert_eq!((stopped.jobs.recovered, stopped.jobs.succeeded), (1, 0));
    assert_eq!(fixture.unresolved().await, 0);
}

#[tokio::test]
async fn a_job_that_is_claimed_again_after_a_claim_without_an_answer_runs_undisturbed() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    fixture
        .lab
        .faults()
        .add(Fault::reset(Route::Assign).times(1));
    let (started, let_go) = (semaphore(), semaphore());
    let worker = Running::start(waiting(&fixture, &started, &let_go));
    taken(&started).await;
    answered(&fixture, sweeps_so_far(&fixture) + 10, |request| {
        request.route == Route::S3List
    })
    .await;
    assert_eq!(
        (fixture.status(job).as_str(), fixture.unresolved().await),
        ("IN_PROGRESS", 1)
    );
    let_go.add_permits(1);
    assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    let stopped = worker.stop().await;
    assert_eq!((stopped.jobs.recovered, stopped.jobs.succeeded), (0, 1));
    assert_eq!(fixture.unresolved().await, 0);
}

#[tokio::test]
async fn a_stopping_worker_resolves_claims_that_it_could_not_confirm() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    fixture
        .lab
        .faults()
        .add(Fault::status(Route::Job, 400).times(5));
    // And the first tries to resolve it meet an outage.
    fixture
        .lab
        .faults()
        .add(Fault::status(Route::Job, 503).times(2));
    let mut slow = options(&fixture);
    slow.record_interval = Duration::from_secs(3600);
    let worker = Running::start(storing(&fixture).options(slow));
    answered(&fixture, 5, |request| request.route == Route::Job).await;
    assert_eq!(worker.stop().await.jobs.recovered, 1);
    assert_eq!(fixture.status(job), "FAILED");
    assert_eq!(fixture.unresolved().await, 0);
}

#[tokio::test]
async fn a_worker_claims_nothing_during_an_outage_of_its_storage() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let outage = fixture.lab.faults().add(Fault::status(Route::S3Put, 503));
    let worker = Running::start(storing(&fixture));
    // More than the tries for one record.
    answered(&fixture, 6, |request| request.route == Route::S3Put).await;
    assert_eq!(fixture.status(job), "PENDING");
    fixture.lab.faults().remove(outage);
    assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    worker.stop().await;
    assert_eq!(fixture.unresolved().await, 0);
}

#[tokio::test]
async fn a_page_of_a_proxy_in_place_of_the_storage_is_neither_a_written_record_nor_a_refusal() {
    for status in [200, 403] {
        let fixture = Fixture::start().await;
        let job = fixture.submit_test(1);
        let page = fixture.lab.faults().add(Fault::page(Route::S3Put, status));
        let worker = Running::start(storing(&fixture));
        // More than the tries for one record.
        answered(&fixture, 6, |request| request.route == Route::S3Put).await;
        assert_eq!(fixture.status(job), "PENDING");
        fixture.lab.faults().remove(page);
        assert_eq!(fixture.ended(job).await, "SUCCEEDED");
        worker.stop().await;
        assert_eq!(fixture.unresolved().await, 0);
    }
}

#[tokio::test]
async fn a_page_of_a_proxy_that_says_not_found_does_not_drop_the_record_of_a_success() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let outage = fixture.lab.faults().add(Fault::status(Route::Result, 503));
    let doomed = Doomed::start(storing(&fixture));
    answered(&fixture, 1, |request| request.route == Route::Result).await;
    doomed.kill();
    fixture.lab.faults().remove(outage);

    let page = fixture.lab.faults().add(Fault::page(Route::S3Get, 404));
    let worker = Running::start(storing(&fixture));
    answered(&fixture, 6, |request| request.route == Route::S3Get).await;
    assert_eq!(
        (fixture.status(job).as_str(), fixture.unresolved().await),
        ("IN_PROGRESS", 1)
    );
    fixture.lab.faults().remove(page);
    assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    worker.stop().await;
    assert_eq!(fixture.outputs(job).await, ["a.txt"]);
    assert_eq!(fixture.unresolved().await, 0);
}

#[tokio::test]
async fn a_worker_that_may_not_write_records_works_without_them() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    fixture
        .lab
        .faults()
        .add(Fault::status(Route::S3Put, 403).times(1));
    let worker = Running::start(storing(&fixture));
    assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_that_has_written_records_claims_nothing_while_they_are_refused() {
    let fixture = Fixture::start().await;
    let worker = Running::start(storing(&fixture));
    let first = fixture.submit_test(1);
    assert_eq!(fixture.ended(first).await, "SUCCEEDED");
    let refusal = fixture.lab.faults().add(Fault::status(Route::S3Put, 403));
    let second = fixture.submit_test(2);
    answered(&fixture, 2, |request| request.status == Some(403)).await;
    assert_eq!(fixture.status(second), "PENDING");
    fixture.lab.faults().remove(refusal);
    assert_eq!(fixture.ended(second).await, "SUCCEEDED");
    worker.stop().await;
    assert_eq!(fixture.unresolved().await, 0);
}

#[tokio::test]
async fn a_recovery_that_knows_all_workers_to_be_dead_resolves_their_claims_at_once_and_only_once()
{
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let started = semaphore();
    let doomed = Doomed::start(waiting(&fixture, &started, &semaphore()));
    taken(&started).await;
    doomed.kill();
    let storage = fixture.storage();
    let recovery = || Recovery::new(fixture.source().build(), storage.clone(), fixture.records());

    let records = recovery().records().await.unwrap();
    let recorded = records
        .into_iter()
        .map(|(_, record)| record.unwrap().job_id);
    assert_eq!(recorded.collect::<Vec<_>>(), [JobId::from(job)]);
    let report = recovery().sweep().await.unwrap();
    assert_eq!((report.dead.len(), report.undecided), (0, 1));
    let (mut first, mut second) = (
        recovery().dead_after(Duration::ZERO),
        recovery().dead_after(Duration::ZERO),
    );
    let (first, second) = tokio::join!(first.sweep(), second.sweep());
    let resolved = |report: SweepReport| {
        report
            .dead
            .into_iter()
            .map(|(_, resolved)| resolved.unwrap())
            .collect::<Vec<_>>()
    };
    let resolved = [resolved(first.unwrap()), resolved(second.unwrap())].concat();
    assert!(
        resolved
            .iter()
            .any(|resolved| matches!(resolved, Resolution::Delivered(_))),
        "{resolved:?}"
    );
    assert_eq!(fixture.status(job), "FAILED");
    assert_eq!(fixture.unresolved().await, 0);
    let results = fixture.lab.requests();
    let accepted = results
        .iter()
        .filter(|r| r.route == Route::Result && r.status == Some(200));
    assert_eq!(accepted.count(), 1);
}
