//! A source that does not answer a claim.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use reefguide_worker::job::{Assignment, Claim, Job, JobId, JobType, Outcome};
use reefguide_worker::runtime::{RunOptions, Worker, WorkerBuilder};
use reefguide_worker::source::{Claimed, Delivery, JobSource, SourceError};
use reefguide_worker::storage::{Storage, StorageUri};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::fixture::{Running, in_time};

/// Offers one job, leaves the claim on it unanswered, and answers later questions about it.
#[derive(Clone, Default)]
struct Mute {
    offers: Arc<Mutex<VecDeque<Job>>>,
    /// After this many questions the claim has taken effect.
    late: Option<usize>,
    asked: Arc<Mutex<Vec<Instant>>>,
    delivered: Arc<Mutex<Vec<Outcome>>>,
    news: Arc<Notice>,
}

/// Notifies of every question and every outcome.
struct Notice(Semaphore);

impl Default for Notice {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

impl Mute {
    fn new(late: Option<usize>) -> Self {
        let job = Job {
            id: JobId::from("7/a"),
            job_type: "TEST".into(),
            payload: json!({}),
            created_at: None,
            unreadable: None,
        };
        let mute = Self {
            late,
            ..Self::default()
        };
        mute.offers.lock().unwrap().push_back(job);
        mute
    }

    async fn until(&self, enough: impl Fn(&Self) -> bool) {
        while !enough(self) {
            in_time(self.news.0.acquire()).await.unwrap().forget();
        }
    }
}

#[async_trait]
impl JobSource for Mute {
    async fn poll(&self, _: &JobType) -> Result<Vec<Job>, SourceError> {
        Ok(self
            .offers
            .lock()
            .unwrap()
            .pop_front()
            .into_iter()
            .collect())
    }

    async fn claim(&self, _: &Job) -> Result<Claimed, SourceError> {
        Ok(Claimed::Unknown(SourceError::Unavailable {
            retry_after: None,
            source: "no answer".into(),
        }))
    }

    fn claimant(&self) -> &str {
        "worker"
    }

    async fn recover(&self, job: &JobId, claimant: &str) -> Result<Option<Claim>, SourceError> {
        assert_eq!(claimant, "worker");
        let mut asked = self.asked.lock().unwrap();
        asked.push(Instant::now());
        self.news.0.add_permits(1);
        let there = self.late.is_some_and(|late| asked.len() > late);
        Ok(there.then(|| Claim {
            job: Job {
                id: job.clone(),
                job_type: "TEST".into(),
                payload: json!({}),
                created_at: None,
                unreadable: None,
            },
            assignment: Assignment {
                id: 1.into(),
                storage_uri: "s3://bucket/results/7".into(),
                expires_at: None,
            },
            claimed_at: Instant::now(),
            lease: None,
        }))
    }

    async fn deliver(&self, _: &Claim, outcome: &Outcome) -> Result<Delivery, SourceError> {
        self.delivered.lock().unwrap().push(outcome.clone());
        self.news.0.add_permits(1);
        Ok(Delivery::Recorded)
    }
}

const INTERVAL: Duration = Duration::from_millis(100);

fn records() -> StorageUri {
    "s3://bucket/records".parse().unwrap()
}

fn worker(source: &Mute, folder: &TempDir) -> WorkerBuilder {
    let mut options = RunOptions::default();
    options.scratch = folder.path().join("scratch");
    options.records = Some(records());
    options.record_interval = INTERVAL;
    Worker::builder()
        .source(source.clone())
        .storage(Storage::folder(folder.path().join("storage")))
        .options(options)
        .handler_fn("TEST", |_: Value, _| async { Ok(()) })
}

async fn unresolved(folder: &TempDir) -> usize {
    let storage = Storage::folder(folder.path().join("storage"));
    storage.list(&records()).await.unwrap().len()
}

#[tokio::test]
async fn a_claim_that_took_effect_late_is_reported_as_failed() {
    let folder = tempfile::tempdir().unwrap();
    let source = Mute::new(Some(2));
    let running = Running::start(worker(&source, &folder));
    source
        .until(|mute| !mute.delivered.lock().unwrap().is_empty())
        .await;
    assert_eq!(running.stop().await.jobs.recovered, 1);
    let delivered = source.delivered.lock().unwrap().clone();
    assert!(
        matches!(delivered[..], [Outcome::Failed { .. }]),
        "{delivered:?}"
    );
    assert_eq!(unresolved(&folder).await, 0);
}

#[tokio::test]
async fn a_claim_that_never_took_effect_is_dropped_after_its_time_and_not_before() {
    let folder = tempfile::tempdir().unwrap();
    let source = Mute::new(None);
    let running = Running::start(worker(&source, &folder));
    source
        .until(|mute| mute.asked.lock().unwrap().len() >= 3)
        .await;
    assert_eq!(unresolved(&folder).await, 1);
    in_time(async {
        while unresolved(&folder).await > 0 {
            tokio::time::sleep(INTERVAL / 4).await;
        }
    })
    .await;
    assert_eq!(running.stop().await.jobs.recovered, 0);
    let asked = source.asked.lock().unwrap();
    let asked_for = *asked.last().unwrap() - asked[0];
    assert!(asked_for > INTERVAL * 3, "{asked_for:?}");
    assert!(source.delivered.lock().unwrap().is_empty());
}
