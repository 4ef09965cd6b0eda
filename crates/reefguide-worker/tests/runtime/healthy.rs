//! That a worker reports itself as healthy exactly when it is, on a clock that the tests move.

use std::future::pending;
use std::time::Duration;

use async_trait::async_trait;
use reefguide_worker::job::{Assignment, Claim, Job, JobId, JobType, Outcome};
use reefguide_worker::observe::health::Health;
use reefguide_worker::runtime::{RunOptions, Worker};
use reefguide_worker::source::{ClaimStatus, Claimed, Delivery, JobSource, SourceError};
use reefguide_worker::storage::Storage;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// How a source answers a call.
#[derive(Clone, Copy)]
enum Answer {
    After(Duration),
    /// Each call fails after this long.
    Fails(Duration),
    Never,
}

const AT_ONCE: Answer = Answer::After(Duration::ZERO);
/// The longest that a request may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A source with one job, which answers each kind of call as configured.
#[derive(Clone, Copy)]
struct Source {
    poll: Answer,
    standing: Answer,
    deliver: Answer,
    has_job: bool,
    storage_uri: &'static str,
}

const USUAL: Source = Source {
    poll: AT_ONCE,
    standing: AT_ONCE,
    deliver: AT_ONCE,
    has_job: false,
    storage_uri: "file:///outputs",
};

async fn answered<T>(answer: Answer, value: T) -> Result<T, SourceError> {
    match answer {
        Answer::After(time) => {
            sleep(time).await;
            Ok(value)
        }
        Answer::Fails(time) => {
            sleep(time).await;
            Err(SourceError::Unavailable {
                retry_after: None,
                source: "away".into(),
            })
        }
        Answer::Never => pending().await,
    }
}

fn job() -> Job {
    Job {
        id: 1.into(),
        job_type: "REEF".into(),
        payload: Value::Null,
        created_at: None,
        unreadable: None,
    }
}

#[async_trait]
impl JobSource for Source {
    async fn poll(&self, _: &JobType) -> Result<Vec<Job>, SourceError> {
        let jobs = self.has_job.then(job).into_iter().collect();
        answered(self.poll, jobs).await
    }

    async fn claim(&self, job: &Job) -> Result<Claimed, SourceError> {
        Ok(Claimed::Won(Claim {
            job: job.clone(),
            assignment: Assignment {
                id: 1.into(),
                storage_uri: self.storage_uri.into(),
                expires_at: None,
            },
            claimed_at: Instant::now(),
            lease: None,
        }))
    }

    fn claimant(&self) -> &str {
        "this"
    }

    async fn recover(&self, _: &JobId, _: &str) -> Result<Option<Claim>, SourceError> {
        Ok(None)
    }

    async fn claim_status(&self, _: &Claim) -> Result<ClaimStatus, SourceError> {
        answered(self.standing, ClaimStatus::Held).await
    }

    async fn deliver(&self, _: &Claim, _: &Outcome) -> Result<Delivery, SourceError> {
        answered(self.deliver, Delivery::Recorded).await
    }
}

/// Runs a worker whose jobs take `job` until it is unhealthy, for an hour at most, and returns when that was and the
/// reason.
async fn unhealthy_after(
    source: Source,
    job: Duration,
    change: impl FnOnce(&mut RunOptions),
) -> Option<(Duration, String)> {
    let scratch = tempfile::tempdir().unwrap();
    let mut options = RunOptions::default();
    options.idle_timeout = None;
    options.scratch = scratch.path().to_owned();
    change(&mut options);
    let (health, stop) = (Health::new(options.slots), CancellationToken::new());
    let worker = Worker::builder()
        .source(source)
        .storage(Storage::folder(scratch.path()))
        .options(options)
        .health(health.clone())
        .stop(stop.clone())
        .handler_fn("REEF", move |_: Value, _| async move {
            sleep(job).await;
            Ok(())
        });
    let running = tokio::spawn(worker.build().unwrap().run());
    let started = Instant::now();
    let mut unhealthy = None;
    while unhealthy.is_none() && started.elapsed() < Duration::from_secs(3600) {
        sleep(Duration::from_millis(500)).await;
        let reason = health.report().unhealthy_reason;
        unhealthy = reason.map(|reason| (started.elapsed(), reason.to_string()));
    }
    stop.cancel();
    running.await.unwrap();
    unhealthy
}

const HOUR: Duration = Duration::from_secs(3600);

fn assert_within_a_minute(unhealthy: Option<(Duration, String)>, expected: &str) {
    let (after, reason) = unhealthy.unwrap();
    assert!(
        after <= Duration::from_secs(60),
        "after {after:?}: {reason}"
    );
    assert!(reason.starts_with(expected), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn an_api_that_fails_or_does_not_answer_makes_a_worker_unhealthy_within_a_minute() {
    for poll in [
        Answer::Fails(Duration::ZERO),
        Answer::Fails(TIMEOUT),
        Answer::Never,
    ] {
        let source = Source { poll, ..USUAL };
        let unhealthy = unhealthy_after(source, HOUR, |_| {}).await;
        assert_within_a_minute(unhealthy, "the API has not answered");
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_worker_without_answers_about_its_jobs_is_unhealthy_within_a_minute() {
    for standing in [Answer::Fails(Duration::ZERO), Answer::Never] {
        let source = Source {
            standing,
            has_job: true,
            ..USUAL
        };
        let unhealthy = unhealthy_after(source, HOUR, |_| {}).await;
        assert_within_a_minute(unhealthy, "the API has not answered");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_cannot_deliver_is_unhealthy_within_a_minute() {
    for watch in [None, RunOptions::default().watch_interval] {
        let source = Source {
            deliver: Answer::Fails(Duration::ZERO),
            has_job: true,
            ..USUAL
        };
        let unhealthy = unhealthy_after(source, Duration::ZERO, |options| {
            options.watch_interval = watch;
        });
        assert_within_a_minute(unhealthy.await, "the API has not answered");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_polls_and_delivers_is_always_healthy() {
    let slow = Source {
        poll: Answer::After(TIMEOUT),
        ..USUAL
    };
    let at_work = Source {
        has_job: true,
        standing: Answer::After(Duration::from_secs(5)),
        deliver: Answer::After(TIMEOUT),
        ..USUAL
    };
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    for (source, job, slots) in [
        (USUAL, HOUR, 1),
        (slow, HOUR, 1),
        (at_work, HOUR * 2, 1),
        (at_work, minutes(5), 1),
        (at_work, minutes(5), 3),
    ] {
        let unhealthy = unhealthy_after(source, job, |options| options.slots = slots);
        assert_eq!(unhealthy.await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_with_long_intervals_is_healthy_between_its_requests() {
    let busy = Source {
        has_job: true,
        ..USUAL
    };
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    for (source, poll, watch) in [
        (USUAL, minutes(5), None),
        (busy, minutes(1), None),
        (busy, minutes(1), Some(minutes(10))),
    ] {
        let unhealthy = unhealthy_after(source, HOUR * 2, |options| {
            options.poll_interval = poll;
            options.watch_interval = watch;
        });
        assert_eq!(unhealthy.await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn an_assignment_whose_storage_uri_cannot_be_read_does_not_empty_the_queue() {
    let source = Source {
        has_job: true,
        storage_uri: "outputs of the job",
        ..USUAL
    };
    let scratch = tempfile::tempdir().unwrap();
    let mut options = RunOptions::default();
    options.scratch = scratch.path().to_owned();
    options.slots = 2;
    // So that the test ends even if it does.
    options.max_jobs = Some(50);
    let (health, stop) = (Health::new(2), CancellationToken::new());
    let worker = Worker::builder()
        .source(source)
        .storage(Storage::folder(scratch.path()))
        .options(options)
        .health(health.clone())
        .stop(stop.clone())
        .handler_fn("REEF", |_: Value, _| async { Ok(()) });
    let running = tokio::spawn(worker.build().unwrap().run());
    sleep(HOUR / 60).await;
    let unready = health.report().unready().unwrap();
    assert!(
        unready.starts_with("storage URI of the assignment: "),
        "{unready}"
    );
    sleep(HOUR).await;
    stop.cancel();
    let jobs = running.await.unwrap().jobs;
    // The jobs that it had claimed before it noticed.
    assert!(jobs.failed <= 2, "{jobs:?}");
}
