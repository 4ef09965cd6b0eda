//! The loop that claims jobs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tempfile::TempDir;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::Instrument;

use super::attempt;
use super::call::job_span;
use super::options::RunOptions;
use super::shutdown::Shutdown;
use super::stopped::{Counters, StopReason, Stopped};
use crate::Chain;
use crate::handler::{Extensions, Registry};
use crate::health::Health;
use crate::job::{Claim, JobType};
use crate::retry::RetryPolicy;
use crate::source::{JobSource, SourceError};
use crate::storage::Storage;

/// Between polls that failed.
const POLL_RETRY: RetryPolicy = RetryPolicy::new(Duration::from_secs(1))
    .cap(Duration::from_secs(30))
    .unlimited();

/// After a claim that another worker won, up to this long, so that a fleet spreads.
const CONTENTION: Duration = Duration::from_millis(200);

/// How many of the offered jobs are tried before polling again.
const CLAIMS_A_POLL: usize = 3;

/// A worker, ready to run. See [`Worker::builder`].
#[derive(Debug)]
pub struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) job_types: Vec<JobType>,
    pub(super) stop: CancellationToken,
}

/// What the loop and the jobs share.
pub(super) struct Shared {
    pub(super) source: Arc<dyn JobSource>,
    pub(super) storage: Storage,
    pub(super) registry: Registry,
    pub(super) extensions: Extensions,
    pub(super) options: RunOptions,
    /// This run's own folder, removed with it.
    pub(super) scratch: TempDir,
    pub(super) health: Health,
    pub(super) counters: Counters,
    /// Signals that a job has ended.
    pub(super) ended: Notify,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("registry", &self.registry)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// What one round of polling brought.
enum Round {
    Claimed(Box<Claim>),
    /// Others were faster.
    Lost,
    /// There is no job.
    Empty,
    Failed(SourceError),
}

impl Worker {
    /// The folder of this run's scratch files. It is removed when the run ends; a program that ends
    /// without letting it end removes the folder itself.
    pub fn scratch(&self) -> &Path {
        self.shared.scratch.path()
    }

    /// Works until there is a reason to stop, then lets running jobs finish within the grace.
    ///
    /// Stops when the builder's token fires, when there was no job for the idle time, or when the
    /// source refuses the worker's account. Installs no signal handlers;
    /// [`WorkerBuilder::main`](super::WorkerBuilder::main) does.
    ///
    /// Not cancel safe: dropped, it leaves claimed jobs without a result. Cancel the token instead.
    pub async fn run(self) -> Stopped {
        let shutdown = Shutdown::new(self.stop.clone());
        let grace = self.shared.options.shutdown_grace;
        let _driver = AbortOnDropHandle::new(tokio::spawn(shutdown.clone().drive(grace)));
        let jobs = TaskTracker::new();
        let shared = self.shared.clone();

        let reason = Claiming::new(self, shutdown.clone(), jobs.clone())
            .run()
            .await;
        if !jobs.is_empty() {
            tracing::info!(%reason, running = jobs.len(), "waiting for running jobs");
            // Nothing is polled from here on.
            shared.health.rest(grace);
        }
        jobs.close();
        jobs.wait().await;
        let counts = shared.counters.read();
        tracing::info!(
            %reason,
            succeeded = counts.succeeded,
            failed = counts.failed,
            given_up = counts.given_up,
            undelivered = counts.undelivered,
            "worker stopped"
        );
        Stopped {
            reason,
            jobs: counts,
        }
    }
}

/// The claiming side of a run.
struct Claiming {
    shared: Arc<Shared>,
    job_types: Vec<JobType>,
    shutdown: Shutdown,
    jobs: TaskTracker,
    /// Types the source does not take; each is complained about once.
    refused: Vec<JobType>,
}

impl Claiming {
    fn new(worker: Worker, shutdown: Shutdown, jobs: TaskTracker) -> Self {
        let Worker {
            shared, job_types, ..
        } = worker;
        Self {
            shared,
            job_types,
            shutdown,
            jobs,
            refused: Vec::new(),
        }
    }

    /// Claims jobs until there is a reason to stop.
    async fn run(mut self) -> StopReason {
        let slots = Arc::new(Semaphore::new(self.shared.options.slots));
        let mut failures = POLL_RETRY.delays();
        let mut idle_since = Instant::now();
        loop {
            let Some(slot) = self.free_slot(&slots).await else {
                return StopReason::Requested;
            };
            // A job that ended before this round needs no further one.
            let ended = self.shared.ended.notified().now_or_never().is_some();
            if ended || !self.jobs.is_empty() {
                idle_since = Instant::now();
            }
            let round = self.round().await;
            self.shared.health.polled();
            if !matches!(round, Round::Failed(_)) {
                failures = POLL_RETRY.delays();
            }
            let mut unreachable = None;
            let wait = match round {
                Round::Claimed(claim) => {
                    self.start(*claim, slot);
                    idle_since = Instant::now();
                    continue;
                }
                Round::Lost => jitter(CONTENTION),
                Round::Empty => {
                    let interval = self.shared.options.poll_interval;
                    interval / 2 + jitter(interval / 2)
                }
                Round::Failed(error @ SourceError::Denied { .. }) => {
                    return StopReason::Denied(error);
                }
                Round::Failed(error) => {
                    let asked = error.retry_after().unwrap_or_default();
                    self.shared.health.rest(asked);
                    let delay = failures.next().unwrap_or_default().max(asked);
                    tracing::warn!(error = %Chain(&error), ?delay, "polling or claiming failed, trying again");
                    unreachable = Some(error);
                    delay
                }
            };
            drop(slot);
            // Idle is decided here alone, after a round that claimed nothing: it cannot race a claim.
            let idle_left = match self.shared.options.idle_timeout {
                Some(timeout) if self.jobs.is_empty() => {
                    let idle = idle_since.elapsed();
                    if idle >= timeout {
                        return match unreachable {
                            Some(error) => StopReason::Unreachable(error),
                            None => StopReason::Idle(idle),
                        };
                    }
                    timeout - idle
                }
                _ => Duration::MAX,
            };
            tokio::select! {
                () = self.shutdown.stop.cancelled() => return StopReason::Requested,
                // A slot that is free again is a reason to look for work, not to press a source in trouble.
                () = self.shared.ended.notified(), if unreachable.is_none() => {
                    idle_since = Instant::now();
                }
                () = tokio::time::sleep(wait.min(idle_left)) => {}
            }
        }
    }

    /// Waits for a free slot; `None` when the worker has to stop.
    async fn free_slot(&self, slots: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        tokio::select! {
            biased;
            () = self.shutdown.stop.cancelled() => None,
            slot = slots.clone().acquire_owned() => slot.ok(),
        }
    }

    /// Polls every type once, beginning with another one each time, until a job is claimed.
    async fn round(&mut self) -> Round {
        self.job_types.rotate_left(1);
        let mut round = Round::Empty;
        for job_type in self.job_types.clone() {
            let polled = tokio::select! {
                biased;
                () = self.shutdown.stop.cancelled() => return Round::Empty,
                polled = self.shared.source.poll(&job_type) => polled,
            };
            let mut offers = match polled {
                Ok(offers) => offers,
                Err(error @ SourceError::Refused { .. }) => {
                    if !self.refused.contains(&job_type) {
                        tracing::error!(%job_type, error = %Chain(&error), "source refused a job type");
                        self.refused.push(job_type);
                    }
                    if matches!(round, Round::Empty) && self.refused.len() == self.job_types.len() {
                        round = Round::Failed(error);
                    }
                    continue;
                }
                Err(error) => return Round::Failed(error),
            };
            self.shared.health.contact();
            // A fleet that all picks the first job collides.
            fastrand::shuffle(&mut offers);
            for job in offers.into_iter().take(CLAIMS_A_POLL) {
                if self.shutdown.stop.is_cancelled() {
                    return round;
                }
                // A claim that was sent is seen through, also when the worker is to stop meanwhile.
                let claim = tokio::select! {
                    claim = self.shared.source.claim(&job) => claim,
                    () = self.shutdown.give_up.cancelled() => {
                        tracing::error!(job_id = %job.id, "gave up on a claim without an answer");
                        return Round::Empty;
                    }
                };
                match claim {
                    Ok(Some(claim)) => return Round::Claimed(Box::new(claim)),
                    Ok(None) => round = Round::Lost,
                    Err(error) => return Round::Failed(error),
                }
            }
        }
        round
    }

    fn start(&self, claim: Claim, slot: OwnedSemaphorePermit) {
        let (shared, shutdown) = (self.shared.clone(), self.shutdown.clone());
        let span = job_span(&claim.job, &claim.assignment);
        let job = async move {
            shared.health.job_started();
            attempt::work(&shared, &shutdown, claim).await;
            shared.health.job_ended();
            // Before the slot: whoever takes that knows that the job has ended.
            shared.ended.notify_one();
            drop(slot);
        };
        self.jobs.spawn(job.instrument(span));
    }
}

/// A random duration up to `longest`.
fn jitter(longest: Duration) -> Duration {
    longest.mul_f64(fastrand::f64())
}
