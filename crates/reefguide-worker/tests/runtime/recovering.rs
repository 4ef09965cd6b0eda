//! The claims of workers that died are settled, from their records.

use std::sync::Arc;
use std::time::Duration;

use reefguide_lab::{Fault, Lab, RequestRecord, Route};
use reefguide_worker::job::{JobId, Outcome};
use reefguide_worker::ledger::{Recovery, Resolution, SweepReport};
use reefguide_worker::prelude::*;
use reefguide_worker::runtime::{RunOptions, WorkerBuilder};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::rig::{Doomed, Rig, Running, in_time};

/// Short enough for a test to see five of them pass.
const INTERVAL: Duration = Duration::from_millis(100);

fn options(rig: &Rig) -> RunOptions {
    let mut options = rig.options();
    options.record_interval = INTERVAL;
    options
}

/// A worker whose jobs store a file.
async fn storing(rig: &Rig) -> WorkerBuilder {
    let worker = rig.worker().await.options(options(rig));
    worker.handler_fn("TEST", |_: Value, ctx: JobContext| async move {
        ctx.outputs().write("a.txt", "a").await?;
        Ok(())
    })
}

/// A worker whose jobs say that they have begun, and end when they are let go.
async fn waiting(rig: &Rig, begun: &Arc<Semaphore>, let_go: &Arc<Semaphore>) -> WorkerBuilder {
    let (begun, let_go) = (begun.clone(), let_go.clone());
    let worker = rig.worker().await.options(options(rig));
    worker.handler_fn("TEST", move |_: Value, _| {
        let (begun, let_go) = (begun.clone(), let_go.clone());
        async move {
            begun.add_permits(1);
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

fn looks_so_far(rig: &Rig) -> usize {
    let requests = rig.lab.requests();
    let looks = requests.iter().filter(|r| r.route == Route::S3List);
    looks.count()
}

async fn answered(rig: &Rig, times: usize, which: impl Fn(&RequestRecord) -> bool) {
    let enough = |lab: &Lab| lab.requests().iter().filter(|r| which(r)).count() >= times;
    in_time(rig.lab.wait_until(enough)).await;
}

#[tokio::test]
async fn a_job_whose_worker_died_is_reported_as_failed_by_another() {
    let rig = Rig::start().await;
    let job = rig.submit_test(1);
    let begun = semaphore();
    let doomed = Doomed::start(waiting(&rig, &begun, &semaphore()).await);
    taken(&begun).await;
    doomed.kill();
    assert_eq!(
        (rig.status(job).as_str(), rig.unsettled().await),
        ("IN_PROGRESS", 1)
    );

    let worker = Running::start(storing(&rig).await);
    assert_eq!(rig.ended(job).await, "FAILED");
    let stopped = worker.stop().await;
    assert_eq!((stopped.jobs.recovered, stopped.jobs.failed), (1, 0));
    assert_eq!(rig.unsettled().await, 0);
}

#[tokio::test]
async fn a_success_whose_worker_died_before_it_could_report_it_is_delivered_by_another() {
    let rig = Rig::start().await;
    let job = rig.submit_test(1);
    let outage = rig.lab.faults().add(Fault::status(Route::Result, 503));
    let doomed = Doomed::start(storing(&rig).await);
    answered(&rig, 1, |request| request.route == Route::Result).await;
    doomed.kill();
    rig.lab.faults().remove(outage);

    let worker = Running::start(storing(&rig).await);
    assert_eq!(rig.ended(job).await, "SUCCEEDED");
    worker.stop().await;
    assert_eq!(rig.outputs(job).await, ["a.txt"]);
    assert_eq!(
        rig.lab.job(job).unwrap()["assignments"][0]["result"]["result_payload"],
        json!({})
    );
    assert_eq!(rig.unsettled().await, 0);
}

#[tokio::test]
async fn a_failure_that_cannot_be_reported_is_in_the_record_with_its_reason() {
    let rig = Rig::start().await;
    rig.submit_test(1);
    rig.lab.faults().add(Fault::status(Route::Result, 503));
    let worker = rig.worker().await.options(options(&rig));
    let doomed = Doomed::start(worker.handler_fn("TEST", |_: Value, _| async {
        Err::<(), _>(JobError::permanent("the reef is gone"))
    }));
    // What is noted after the first try is there before the second.
    answered(&rig, 2, |request| request.route == Route::Result).await;
    doomed.kill();
    let recovery = Recovery::new(rig.source().build(), rig.storage(), rig.records());
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
    let rig = Rig::start().await;
    let job = rig.submit_test(1);
    let outage = rig.lab.faults().add(Fault::status(Route::Result, 503));
    let mut short = options(&rig);
    short.shutdown_grace = Duration::from_secs(1);
    let worker = Running::start(storing(&rig).await.options(short));
    answered(&rig, 1, |request| request.route == Route::Result).await;
    let stopped = worker.stop().await;
    assert_eq!((stopped.jobs.undelivered, stopped.jobs.recovered), (1, 0));
    rig.lab.faults().remove(outage);

    let worker = Running::start(storing(&rig).await);
    assert_eq!(rig.ended(job).await, "SUCCEEDED");
    assert_eq!(worker.stop().await.jobs.recovered, 1);
    assert_eq!(rig.unsettled().await, 0);
}

#[tokio::test]
async fn what_a_worker_had_stored_when_it_died_is_removed() {
    let rig = Rig::start().await;
    let job = rig.submit_test(1);
    let worker = rig.worker().await.options(options(&rig));
    let worker = worker.handler_fn("TEST", |_: Value, ctx: JobContext| async move {
        ctx.outputs().write("small", "a").await?;
        ctx.outputs().write("large", vec![0; 17 << 20]).await?;
        Ok(())
    });
    // The second of two files never gets through.
    let stuck = Fault::delay(Route::S3UploadPart, Duration::from_secs(600));
    let stuck = rig.lab.faults().add(stuck);
    let doomed = Doomed::start(worker);
    answered(&rig, 1, |request| request.path.contains("/small")).await;
    answered(&rig, 1, |request| request.route == Route::S3CreateUpload).await;
    doomed.kill();
    rig.lab.faults().remove(stuck);
    assert_eq!(rig.outputs(job).await, ["small"]);

    let worker = Running::start(storing(&rig).await);
    assert_eq!(rig.ended(job).await, "FAILED");
    worker.stop().await;
    assert!(rig.outputs(job).await.is_empty());
    assert_eq!(rig.unsettled().await, 0);
}

#[tokio::test]
async fn the_claim_of_a_worker_that_lives_is_left_alone() {
    let rig = Rig::start().await;
    let job = rig.submit_test(1);
    let (begun, let_go) = (semaphore(), semaphore());
    let working = Running::start(waiting(&rig, &begun, &let_go).await);
    taken(&begun).await;
    let looking = Running::start(storing(&rig).await);
    // Long enough for a dead worker to be seen as dead, twice.
    let looks = |request: &RequestRecord| request.route == Route::S3List;
    answered(&rig, 20, looks).await;
    let mut recovery = Recovery::new(rig.source().build(), rig.storage(), rig.records());
    let look = recovery.sweep().await.unwrap();
    assert_eq!((look.dead.len(), look.alive, look.undecided), (0, 0, 1));
    answered(&rig, looks_so_far(&rig) + 5, looks).await;
    let look = recovery.sweep().await.unwrap();
    assert_eq!((look.dead.len(), look.alive, look.undecided), (0, 1, 0));
    assert_eq!(rig.status(job), "IN_PROGRESS");
    let_go.add_permits(1);
    assert_eq!(rig.ended(job).await, "SUCCEEDED");
    assert_eq!(looking.stop().await.jobs.recovered, 0);
    assert_eq!(working.stop().await.jobs.succeeded, 1);
    assert_eq!(rig.unsettled().await, 0);
}

#[tokio::test]
async fn a_claim_that_could_not_be_confirmed_is_settled_by_the_worker_that_made_it() {
    let rig = Rig::start().await;
    let job = rig.submit_test(1);
    rig.lab
        .faults()
        .add(Fault::status(Route::Job, 400).times(5));
    let worker = Running::start(storing(&rig).await);
    assert_eq!(rig.ended(job).await, "FAILED");
    let stopped = worker.stop().await;
    assert_eq!((stopped.jobs.recovered, stopped.jobs.succeeded), (1, 0));
    assert_eq!(rig.unsettled().await, 0);
}

#[tokio::test]
async fn a_job_that_is_claimed_again_after_a_claim_without_an_answer_runs_undisturbed() {
    let rig = Rig::start().await;
    let job = rig.submit_test(1);
    rig.lab.faults().add(Fault::reset(Route::Assign).times(1));
    let (begun, let_go) = (semaphore(), semaphore());
    let worker = Running::start(waiting(&rig, &begun, &let_go).await);
    taken(&begun).await;
    answered(&rig, looks_so_far(&rig) + 10, |request| {
        request.route == Route::S3List
    })
    .await;
    assert_eq!(
        (rig.status(job).as_str(), rig.unsettled().await),
        ("IN_PROGRESS", 1)
    );
    let_go.add_permits(1);
    assert_eq!(rig.ended(job).await, "SUCCEEDED");
    let stopped = worker.stop().await;
    assert_eq!((stopped.jobs.recovered, stopped.jobs.succeeded), (0, 1));
    assert_eq!(rig.unsettled().await, 0);
}

#[tokio::test]
async fn a_worker_that_stops_settles_what_it_could_not_confirm() {
    let rig = Rig::start().await;
    let job = rig.submit_test(1);
    rig.lab
        .faults()
        .add(Fault::status(Route::Job, 400).times(5));
    // And the first tries to settle it meet an outage.
    rig.lab
        .faults()
        .add(Fault::status(Route::Job, 503).times(2));
    let mut slow = options(&rig);
    slow.record_interval = Duration::from_secs(3600);
    let worker = Running::start(storing(&rig).await.options(slow));
    answered(&rig, 5, |request| request.route == Route::Job).await;
    assert_eq!(worker.stop().await.jobs.recovered, 1);
    assert_eq!(rig.status(job), "FAILED");
    assert_eq!(rig.unsettled().await, 0);
}

#[tokio::test]
async fn a_worker_claims_nothing_while_its_storage_is_away() {
    let rig = Rig::start().await;
    let job = rig.submit_test(1);
    let outage = rig.lab.faults().add(Fault::status(Route::S3Put, 503));
    let worker = Running::start(storing(&rig).await);
    // More than are tried for one record.
    answered(&rig, 6, |request| request.route == Route::S3Put).await;
    assert_eq!(rig.status(job), "PENDING");
    rig.lab.faults().remove(outage);
    assert_eq!(rig.ended(job).await, "SUCCEEDED");
    worker.stop().await;
    assert_eq!(rig.unsettled().await, 0);
}

#[tokio::test]
async fn a_page_in_place_of_the_storage_is_no_written_record_and_no_refusal() {
    for status in [200, 403] {
        let rig = Rig::start().await;
        let job = rig.submit_test(1);
        let page = rig.lab.faults().add(Fault::page(Route::S3Put, status));
        let worker = Running::start(storing(&rig).await);
        // More than are tried for one record.
        answered(&rig, 6, |request| request.route == Route::S3Put).await;
        assert_eq!(rig.status(job), "PENDING");
        rig.lab.faults().remove(page);
        assert_eq!(rig.ended(job).await, "SUCCEEDED");
        worker.stop().await;
        assert_eq!(rig.unsettled().await, 0);
    }
}

#[tokio::test]
async fn a_page_that_says_not_found_does_not_drop_the_record_of_a_success() {
    let rig = Rig::start().await;
    let job = rig.submit_test(1);
    let outage = rig.lab.faults().add(Fault::status(Route::Result, 503));
    let doomed = Doomed::start(storing(&rig).await);
    answered(&rig, 1, |request| request.route == Route::Result).await;
    doomed.kill();
    rig.lab.faults().remove(outage);

    let page = rig.lab.faults().add(Fault::page(Route::S3Get, 404));
    let worker = Running::start(storing(&rig).await);
    answered(&rig, 6, |request| request.route == Route::S3Get).await;
    assert_eq!(
        (rig.status(job).as_str(), rig.unsettled().await),
        ("IN_PROGRESS", 1)
    );
    rig.lab.faults().remove(page);
    assert_eq!(rig.ended(job).await, "SUCCEEDED");
    worker.stop().await;
    assert_eq!(rig.outputs(job).await, ["a.txt"]);
    assert_eq!(rig.unsettled().await, 0);
}

#[tokio::test]
async fn a_worker_that_may_not_write_records_works_without_them() {
    let rig = Rig::start().await;
    let job = rig.submit_test(1);
    rig.lab
        .faults()
        .add(Fault::status(Route::S3Put, 403).times(1));
    let worker = Running::start(storing(&rig).await);
    assert_eq!(rig.ended(job).await, "SUCCEEDED");
    worker.stop().await;
}

#[tokio::test]
async fn a_worker_whose_records_were_taken_claims_nothing_while_they_are_refused() {
    let rig = Rig::start().await;
    let worker = Running::start(storing(&rig).await);
    let first = rig.submit_test(1);
    assert_eq!(rig.ended(first).await, "SUCCEEDED");
    let refusal = rig.lab.faults().add(Fault::status(Route::S3Put, 403));
    let second = rig.submit_test(2);
    answered(&rig, 2, |request| request.status == Some(403)).await;
    assert_eq!(rig.status(second), "PENDING");
    rig.lab.faults().remove(refusal);
    assert_eq!(rig.ended(second).await, "SUCCEEDED");
    worker.stop().await;
    assert_eq!(rig.unsettled().await, 0);
}

#[tokio::test]
async fn whoever_knows_that_all_workers_are_dead_settles_their_claims_at_once_and_only_once() {
    let rig = Rig::start().await;
    let job = rig.submit_test(1);
    let begun = semaphore();
    let doomed = Doomed::start(waiting(&rig, &begun, &semaphore()).await);
    taken(&begun).await;
    doomed.kill();
    let storage = rig.storage();
    let recovery = || Recovery::new(rig.source().build(), storage.clone(), rig.records());

    let records = recovery().records().await.unwrap();
    let recorded = records
        .into_iter()
        .map(|(_, record)| record.unwrap().job_id);
    assert_eq!(recorded.collect::<Vec<_>>(), [JobId::from(job)]);
    let look = recovery().sweep().await.unwrap();
    assert_eq!((look.dead.len(), look.undecided), (0, 1));
    let (mut first, mut second) = (
        recovery().dead_after(Duration::ZERO),
        recovery().dead_after(Duration::ZERO),
    );
    let (first, second) = tokio::join!(first.sweep(), second.sweep());
    let settled = |look: SweepReport| {
        look.dead
            .into_iter()
            .map(|(_, settled)| settled.unwrap())
            .collect::<Vec<_>>()
    };
    let settled = [settled(first.unwrap()), settled(second.unwrap())].concat();
    assert!(
        settled
            .iter()
            .any(|settled| matches!(settled, Resolution::Delivered(_))),
        "{settled:?}"
    );
    assert_eq!(rig.status(job), "FAILED");
    assert_eq!(rig.unsettled().await, 0);
    let results = rig.lab.requests();
    let accepted = results
        .iter()
        .filter(|r| r.route == Route::Result && r.status == Some(200));
    assert_eq!(accepted.count(), 1);
}
