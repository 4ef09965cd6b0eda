//! Delivering an outcome to a source that answers as scripted.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use reefguide_jobs::job::{Assignment, Claim, Job, JobId, JobType, Outcome};
use reefguide_jobs::ledger::{ClaimGuard, DeliveryError, Limit, Reached, deliver};
use reefguide_jobs::source::{Claimed, Delivery, JobSource, SourceError};
use reefguide_transport::Chain;
use serde_json::json;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How many times a source may refuse a failure.
const REFUSALS: usize = 5;

/// Answers deliveries with scripted errors, then records outcomes.
#[derive(Default)]
struct Scripted {
    answers: Mutex<VecDeque<SourceError>>,
    delivered: Mutex<Vec<Outcome>>,
}

impl Scripted {
    fn new(answers: impl IntoIterator<Item = SourceError>) -> Self {
        Self {
            answers: Mutex::new(answers.into_iter().collect()),
            ..Self::default()
        }
    }
}

#[async_trait]
impl JobSource for Scripted {
    async fn poll(&self, _: &JobType) -> Result<Vec<Job>, SourceError> {
        Ok(Vec::new())
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

    async fn deliver(&self, _: &Claim, outcome: &Outcome) -> Result<Delivery, SourceError> {
        self.delivered.lock().unwrap().push(outcome.clone());
        self.answers
            .lock()
            .unwrap()
            .pop_front()
            .map_or(Ok(Delivery::Recorded), Err)
    }
}

fn unavailable(retry_after: Option<Duration>) -> SourceError {
    SourceError::Unavailable {
        retry_after,
        source: "away".into(),
    }
}

fn claim() -> Claim {
    Claim {
        job: Job {
            id: 1.into(),
            job_type: "TEST".into(),
            payload: json!({}),
            created_at: None,
            unreadable: None,
        },
        assignment: Assignment {
            id: 1.into(),
            storage_uri: "s3://bucket/results".into(),
            expires_at: None,
        },
        claimed_at: Instant::now(),
        lease: Some(Duration::from_secs(3600)),
    }
}

async fn delivered(source: &Scripted) -> Result<Outcome, DeliveryError> {
    let (claim, shutdown) = (claim(), CancellationToken::new());
    let limit = Limit {
        shutdown: &shutdown,
        end: claim.lease_end().map(|end| (end, Reached::Lease)),
        ended: None,
    };
    deliver(
        source,
        &(),
        &claim,
        Outcome::Succeeded { result: json!({}) },
        &ClaimGuard::none(),
        limit,
    )
    .await
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_obeyed() {
    let asked = Duration::from_secs(900);
    let source = Scripted::new([unavailable(Some(asked))]);
    let started = Instant::now();
    delivered(&source).await.unwrap();
    assert_eq!(started.elapsed(), asked);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_waited_out_until_the_lease_ends_and_no_longer() {
    let source = Scripted::new((0..10_000).map(|_| unavailable(None)));
    let started = Instant::now();
    let error = delivered(&source).await.unwrap_err();
    assert_eq!(started.elapsed(), Duration::from_secs(3600));
    insta::assert_snapshot!(
        Chain(&error),
        @"not delivered in time: its lease is running out: job source unavailable: away"
    );
    let tries = source.delivered.lock().unwrap().len();
    assert!((240..2_000).contains(&tries), "{tries} tries in an hour");
}

#[tokio::test(start_paused = true)]
async fn a_refused_result_is_reported_as_a_failure_at_once() {
    let source = Scripted::new([SourceError::ResultRefused {
        source: "wrong key".into(),
    }]);
    let started = Instant::now();
    let outcome = delivered(&source).await.unwrap();
    let reason = "result refused: wrong key".into();
    assert_eq!(outcome, Outcome::Failed { reason });
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_refused_failure_is_tried_again_but_not_for_ever() {
    let refused = || SourceError::ResultRefused {
        source: "no".into(),
    };
    let source = Scripted::new((0..REFUSALS).map(|_| refused()));
    let outcome = delivered(&source).await.unwrap();
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    let source = Scripted::new((0..100).map(|_| refused()));
    let error = delivered(&source).await.unwrap_err();
    assert!(matches!(error, DeliveryError::Refused(_)), "{error}");
    assert_eq!(source.delivered.lock().unwrap().len(), 1 + REFUSALS);
}
