//! How often a source is polled, on a clock that the tests move.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use reefguide_worker::job::{Claim, Job, JobId, JobType, Outcome};
use reefguide_worker::runtime::{RunOptions, StopReason, Stopped, Worker};
use reefguide_worker::source::{Claimed, Delivery, JobSource, SourceError};
use reefguide_worker::storage::Storage;
use serde_json::Value;
use tokio::time::Instant;

/// The answer to a poll for a type, by the number of earlier polls for it.
type Script = fn(&str, usize) -> Result<Vec<Job>, SourceError>;

/// A source whose claims other workers always win.
struct Scripted {
    script: Script,
    polls: Arc<Mutex<Vec<(String, Instant)>>>,
}

#[async_trait]
impl JobSource for Scripted {
    async fn poll(&self, job_type: &JobType) -> Result<Vec<Job>, SourceError> {
        let job_type = job_type.to_string();
        let mut polls = self.polls.lock().unwrap();
        let before = polls.iter().filter(|(of, _)| *of == job_type).count();
        polls.push((job_type.clone(), Instant::now()));
        (self.script)(&job_type, before)
    }

    async fn claim(&self, _: &Job) -> Result<Claimed, SourceError> {
        Ok(Claimed::Taken)
    }

    fn claimant(&self) -> &str {
        "scripted"
    }

    async fn recover(&self, _: &JobId, _: &str) -> Result<Option<Claim>, SourceError> {
        Ok(None)
    }

    async fn deliver(&self, _: &Claim, _: &Outcome) -> Result<Delivery, SourceError> {
        Ok(Delivery::Recorded)
    }
}

/// Runs a worker for two types until it has been idle for `idle`; also returns when it polled.
async fn run(script: Script, idle: Duration) -> (Stopped, Vec<Duration>) {
    let scratch = tempfile::tempdir().unwrap();
    let mut options = RunOptions::default();
    options.poll_interval = Duration::from_secs(2);
    options.idle_timeout = Some(idle);
    options.scratch = scratch.path().to_owned();
    options.records = None;
    let polls = Arc::<Mutex<Vec<_>>>::default();
    let source = Scripted {
        script,
        polls: Arc::clone(&polls),
    };
    let worker = Worker::builder()
        .source(source)
        .storage(Storage::folder(scratch.path()))
        .options(options)
        .handler_fn("A", |_: Value, _| async { Ok(()) })
        .handler_fn("B", |_: Value, _| async { Ok(()) });
    let stopped = worker.build().unwrap().run().await;
    let polls = polls.lock().unwrap();
    let of_b: Vec<_> = polls.iter().filter(|(of, _)| of == "B").collect();
    let waits = of_b.windows(2).map(|two| two[1].1 - two[0].1).collect();
    (stopped, waits)
}

fn job() -> Job {
    Job {
        id: 1.into(),
        job_type: "B".into(),
        payload: Value::Null,
        created_at: None,
        unreadable: None,
    }
}

fn unavailable() -> SourceError {
    SourceError::Unavailable {
        retry_after: None,
        source: "down".into(),
    }
}

fn refused() -> SourceError {
    SourceError::Refused {
        source: "no such type".into(),
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_failing_source_is_polled_less_and_less_until_it_answers_again() {
    let script: Script = |_, before| match before {
        // Failures in a row, a good answer, another failure.
        0..=11 | 13 => Err(unavailable()),
        _ => Ok(Vec::new()),
    };
    let (_, waits) = run(script, 400 * SECOND).await;
    let longest = waits[..12].iter().max().unwrap();
    assert!(*longest > 4 * SECOND, "{waits:?}");
    assert!(waits[13] <= 3 * SECOND, "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_loses_every_claim_polls_less_and_less() {
    let script: Script = |job_type, before| match (job_type, before) {
        ("B", 0..20) => Ok(vec![job()]),
        _ => Ok(Vec::new()),
    };
    let (_, waits) = run(script, 100 * SECOND).await;
    let lost: Duration = waits[..20].iter().sum();
    // Twenty of the first delay would be at most 4 s.
    assert!(lost > 8 * SECOND, "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_without_jobs_polls_at_its_interval_and_stops_after_the_idle_time() {
    let began = Instant::now();
    let (stopped, waits) = run(|_, _| Ok(Vec::new()), 60 * SECOND).await;
    assert!(matches!(stopped.reason, StopReason::Idle(_)), "{stopped:?}");
    assert_eq!(began.elapsed().as_secs(), 60);
    let (last, others) = waits.split_last().unwrap();
    assert!(*last <= 2 * SECOND, "{waits:?}");
    for wait in others {
        assert!((SECOND..=2 * SECOND).contains(wait), "{waits:?}");
    }
    // Jitter keeps workers from polling in step.
    assert!(others.iter().any(|wait| *wait != others[0]), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_type_that_the_source_refuses_does_not_keep_the_worker_from_other_types() {
    let script: Script = |job_type, _| match job_type {
        "A" => Err(refused()),
        _ => Ok(Vec::new()),
    };
    let (stopped, waits) = run(script, 60 * SECOND).await;
    assert!(matches!(stopped.reason, StopReason::Idle(_)), "{stopped:?}");
    assert!(waits.iter().all(|wait| *wait <= 2 * SECOND), "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_whose_types_are_all_refused_stops_with_that_reason() {
    let (stopped, _) = run(|_, _| Err(refused()), 60 * SECOND).await;
    assert!(
        matches!(stopped.reason, StopReason::Unreachable(_)),
        "{stopped:?}"
    );
}
