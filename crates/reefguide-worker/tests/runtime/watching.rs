//! A running job whose claim has ended is given up.

use std::sync::Arc;
use std::time::Duration;

use reefguide_lab::{Fault, Route};
use reefguide_worker::job::{AssignmentId, JobStatus};
use reefguide_worker::prelude::*;
use reefguide_worker::runtime::WorkerBuilder;
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::fixture::{Fixture, Running, in_time};

/// A worker with a short watch interval, whose handler signals its start and waits to be cancelled or released.
struct Watched {
    started: Arc<Semaphore>,
    cancelled: Arc<Semaphore>,
    let_go: Arc<Semaphore>,
}

impl Watched {
    fn new() -> Self {
        let none = || Arc::new(Semaphore::new(0));
        Self {
            started: none(),
            cancelled: none(),
            let_go: none(),
        }
    }

    fn worker(&self, fixture: &Fixture) -> WorkerBuilder {
        let mut options = fixture.options();
        options.watch_interval = Some(Duration::from_millis(50));
        let worker = fixture.worker().options(options);
        let (started, cancelled) = (self.started.clone(), self.cancelled.clone());
        let let_go = self.let_go.clone();
        worker.handler_fn("TEST", move |_: Value, ctx: JobContext| {
            let (started, cancelled) = (started.clone(), cancelled.clone());
            let let_go = let_go.clone();
            async move {
                started.add_permits(1);
                tokio::select! {
                    () = ctx.cancellation().cancelled() => cancelled.add_permits(1),
                    let_go = let_go.acquire() => let_go?.forget(),
                }
                // A handler may succeed although it was cancelled.
                ctx.outputs().write("late.txt", "late").await?;
                Ok(())
            }
        })
    }

    async fn has_started(&self) {
        in_time(self.started.acquire()).await.unwrap().forget();
    }

    async fn is_cancelled(&self) {
        in_time(self.cancelled.acquire()).await.unwrap().forget();
    }
}

#[tokio::test]
async fn a_job_that_timed_out_is_given_up_and_the_next_one_done() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let watched = Watched::new();
    let worker = Running::start(watched.worker(&fixture));
    watched.has_started().await;
    let administrator = fixture.client_of("worker@email.com");
    let timed_out = administrator.timeout_jobs(Duration::from_nanos(1), &[]);
    timed_out.await.unwrap();
    watched.is_cancelled().await;

    let next = fixture.submit_test(2);
    watched.has_started().await;
    watched.let_go.add_permits(1);
    assert_eq!(fixture.ended(next).await, "SUCCEEDED");
    let stopped = worker.stop().await;
    assert_eq!((stopped.jobs.given_up, stopped.jobs.succeeded), (1, 1));
    assert_eq!((stopped.jobs.failed, stopped.jobs.undelivered), (0, 0));
    assert_eq!(fixture.status(job), "TIMED_OUT");
    let assignment = &fixture.lab.job(job).unwrap()["assignments"][0];
    assert_eq!(assignment["completed_at"], Value::Null, "{assignment:#}");
    assert!(fixture.outputs(job).await.is_empty());
    assert!(fixture.scratch_is_empty());
}

#[tokio::test]
async fn a_job_that_another_worker_reported_is_given_up() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let watched = Watched::new();
    let worker = Running::start(watched.worker(&fixture));
    watched.has_started().await;
    let assignment = fixture.lab.job(job).unwrap()["assignments"][0]["id"].as_i64();
    let assignment = AssignmentId::from(assignment.unwrap());
    let other = fixture.client_of("worker@email.com");
    let failed = other.post_result(&assignment, &JobStatus::Failed, None);
    failed.await.unwrap();
    watched.is_cancelled().await;
    let stopped = worker.stop().await;
    assert_eq!((stopped.jobs.given_up, stopped.jobs.succeeded), (1, 0));
    assert_eq!(fixture.status(job), "FAILED");
    assert!(fixture.outputs(job).await.is_empty());
}

#[tokio::test]
async fn a_job_goes_on_while_its_status_cannot_be_read() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let watched = Watched::new();
    let worker = Running::start(watched.worker(&fixture));
    watched.has_started().await;
    fixture.lab.faults().add(Fault::status(Route::Job, 500));
    let asked = fixture.lab.wait_until(|lab| {
        let requests = lab.requests();
        let refused = |request: &&reefguide_lab::RequestRecord| request.fault.is_some();
        requests.iter().filter(refused).count() >= 3
    });
    in_time(asked).await;
    watched.let_go.add_permits(1);
    assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    worker.stop().await;
    assert_eq!(fixture.outputs(job).await, ["late.txt"]);
}
