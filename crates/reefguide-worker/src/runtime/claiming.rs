//! The loop that claims jobs.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span, field};

use super::attempt;
use super::call::{job_span, note_assignment};
use super::scratch::{Prepared, Scratch, ScratchError};
use super::shutdown::Shutdown;
use super::stopped::StopReason;
use super::worker::{Shared, Worker};
use crate::Chain;
use crate::job::{Claim, Job, JobType};
use crate::ledger::ClaimGuard;
use crate::observe::metrics::{ClaimEnd, Operation, PollEnd};
use crate::retry::RetryPolicy;
use crate::source::{self, SourceError};
use crate::trace;

/// Between polls that failed.
const POLL_RETRY: RetryPolicy = RetryPolicy::new(Duration::from_secs(1))
    .cap(Duration::from_secs(30))
    .unlimited();

/// After claims that other workers won, so that a fleet spreads.
const CONTENTION: RetryPolicy = RetryPolicy::new(Duration::from_millis(200))
    .cap(Duration::from_secs(5))
    .unlimited();

/// How many of the offered jobs are tried before polling again.
const CLAIMS_A_POLL: usize = 3;

/// A job to run.
struct Claimed {
    claim: Claim,
    record: ClaimGuard,
    scratch: Option<Scratch>,
    /// Held while it runs, if the slots of its type are numbered.
    type_slot: Option<OwnedSemaphorePermit>,
    span: Span,
}

/// What one round of polling brought.
enum Round {
    Claimed(Box<Claimed>),
    /// Others were faster.
    Lost,
    /// There is no job, or none of a type with a free slot.
    Empty,
    Failed(SourceError),
    /// Nothing could be begun, for so long.
    NoScratch(ScratchError, Duration),
}

/// The claiming side of a run.
pub(super) struct Claiming {
    shared: Arc<Shared>,
    job_types: Vec<JobType>,
    /// The slots of types that have a number of their own.
    type_slots: HashMap<JobType, Arc<Semaphore>>,
    shutdown: Shutdown,
    jobs: TaskTracker,
    /// Types the source does not take; each is complained about once.
    refused: Vec<JobType>,
    /// Whether the storage takes records, as far as it is known.
    recording: Option<bool>,
    /// What the next job is begun in.
    prepared: Prepared,
}

impl Claiming {
    pub(super) fn new(worker: Worker, shutdown: Shutdown, jobs: TaskTracker) -> Self {
        let Worker {
            shared, job_types, ..
        } = worker;
        let slots_of = |job_type: &JobType| {
            let slots = shared.options.of(job_type).slots?;
            Some((job_type.clone(), Arc::new(Semaphore::new(slots))))
        };
        Self {
            type_slots: job_types.iter().filter_map(slots_of).collect(),
            shared,
            job_types,
            shutdown,
            jobs,
            refused: Vec::new(),
            recording: None,
            prepared: Prepared::none(),
        }
    }

    /// Claims jobs until there is a reason to stop.
    pub(super) async fn run(mut self) -> StopReason {
        let slots = Arc::new(Semaphore::new(self.shared.options.slots));
        let mut failures = POLL_RETRY.delays();
        let mut losses = CONTENTION.delays();
        let mut claimed = 0;
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
            self.shared.health.polled();
            let round = match self.prepared.ready(&self.shared) {
                Ok(()) => self.round().await,
                Err((error, wait)) => Round::NoScratch(error, wait),
            };
            self.shared.health.polled();
            if !matches!(round, Round::Failed(_)) {
                failures = POLL_RETRY.delays();
            }
            if !matches!(round, Round::Lost) {
                losses = CONTENTION.delays();
            }
            // Why it is no idleness when nothing is claimed.
            let mut in_trouble = None;
            let wait = match round {
                Round::Claimed(claim) => {
                    self.start(*claim, slot);
                    idle_since = Instant::now();
                    claimed += 1;
                    match self.shared.options.max_jobs {
                        Some(most) if claimed >= most => return StopReason::MaxJobs(claimed),
                        _ => continue,
                    }
                }
                Round::Lost => losses.next().unwrap_or_default(),
                Round::Empty => {
                    let drained = self.shared.options.drain && self.jobs.is_empty();
                    if drained && !self.shutdown.stop.is_cancelled() {
                        return StopReason::Drained;
                    }
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
                    self.shared.metrics.retries(Operation::Poll).inc();
                    tracing::warn!(error = %Chain(&error), delay_s = delay.as_secs_f64(), "polling or claiming failed, trying again");
                    in_trouble = Some(StopReason::Unreachable(error));
                    delay
                }
                Round::NoScratch(error, wait) => {
                    in_trouble = Some(StopReason::NoScratch(error));
                    wait
                }
            };
            drop(slot);
            // Idle is decided here alone, after a round that claimed nothing: it cannot race a claim.
            let idle_left = match self.shared.options.idle_timeout {
                Some(timeout) if self.jobs.is_empty() => {
                    let idle = idle_since.elapsed();
                    if idle >= timeout {
                        return in_trouble.unwrap_or(StopReason::Idle(idle));
                    }
                    timeout - idle
                }
                _ => Duration::MAX,
            };
            tokio::select! {
                () = self.shutdown.stop.cancelled() => return StopReason::Requested,
                // A slot that is free again is a reason to look for work, not to press a source in trouble.
                () = self.shared.ended.notified(), if !matches!(in_trouble, Some(StopReason::Unreachable(_))) => {
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

    /// Polls every type that has a free slot once, beginning with another one each time, until a job is
    /// claimed.
    async fn round(&mut self) -> Round {
        self.job_types.rotate_left(1);
        let mut round = Round::Empty;
        let mut polled_any = false;
        for job_type in self.job_types.clone() {
            let Ok(type_slot) = self.type_slot(&job_type) else {
                continue;
            };
            if self.shared.troubles.strikes(&job_type) {
                continue;
            }
            polled_any = true;
            let Some(polled) = self.poll(&job_type).await else {
                return Round::Empty;
            };
            self.shared.health.polled();
            self.shared.metrics.polled(&job_type, poll_end(&polled));
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
                if self.shutdown.stop.is_cancelled() || self.shared.troubles.strikes(&job_type) {
                    return round;
                }
                let span = job_span(&job);
                trace::join(&span, &trace::of_payload(&job.payload));
                match self.claim(&job).instrument(span.clone()).await {
                    Ok(Some((claim, record))) => {
                        note_assignment(&span, &claim.assignment);
                        return Round::Claimed(Box::new(Claimed {
                            claim,
                            record,
                            scratch: self.prepared.take(),
                            type_slot,
                            span,
                        }));
                    }
                    Ok(None) => round = Round::Lost,
                    Err(error) => {
                        trace::failed(&span, Chain(&error));
                        return Round::Failed(error);
                    }
                }
            }
        }
        if !polled_any {
            self.shared.health.anew();
        }
        round
    }

    /// Polls one type; `None` when the worker has to stop.
    async fn poll(&self, job_type: &JobType) -> Option<Result<Vec<Job>, SourceError>> {
        // A trace of its own, of no job that it may find.
        let span = tracing::debug_span!(parent: None, "poll", %job_type, jobs = field::Empty);
        let polling = self.shared.source.poll(job_type).instrument(span.clone());
        let polled = tokio::select! {
            biased;
            () = self.shutdown.stop.cancelled() => return None,
            polled = polling => polled,
        };
        match &polled {
            Ok(jobs) => {
                span.record("jobs", jobs.len() as i64);
            }
            Err(error) => trace::failed(&span, Chain(error)),
        }
        Some(polled)
    }

    /// A free slot of a type, if its slots are numbered; an error if none is free.
    fn type_slot(
        &self,
        job_type: &JobType,
    ) -> Result<Option<OwnedSemaphorePermit>, TryAcquireError> {
        let slots = self.type_slots.get(job_type).cloned();
        slots.map(Semaphore::try_acquire_owned).transpose()
    }

    /// Claims a job, with a record from before it is asked for; `None` when others have it.
    async fn claim(&mut self, job: &Job) -> Result<Option<(Claim, ClaimGuard)>, SourceError> {
        let Some(record) = self.record(job).await? else {
            return Ok(None);
        };
        if self.shutdown.stop.is_cancelled() {
            record.withdraw().await;
            return Ok(None);
        }
        let span = tracing::debug_span!("claim", won = field::Empty);
        let claiming = self.shared.source.claim(job).instrument(span.clone());
        // A claim that was sent is seen through, also when the worker is to stop meanwhile.
        let claim = tokio::select! {
            claim = claiming => claim,
            () = self.shutdown.give_up.cancelled() => {
                tracing::error!(job_id = %job.id, job_type = %job.job_type, "gave up on a claim without an answer");
                self.shared.metrics.claimed(job, ClaimEnd::Unknown);
                return Ok(None);
            }
        };
        span.record("won", matches!(claim, Ok(source::Claimed::Won(_))));
        drop(span);
        self.shared.health.polled();
        self.shared.metrics.claimed(job, claim_end(&claim));
        match claim {
            Ok(source::Claimed::Won(claim)) => return Ok(Some((claim, record))),
            Ok(source::Claimed::Taken) => record.withdraw().await,
            Ok(source::Claimed::Fenced) => {
                self.shared.counters.fenced.fetch_add(1, Ordering::Relaxed);
                record.withdraw().await;
            }
            Ok(source::Claimed::Unknown(error)) => return Err(error),
            Err(error) => {
                record.withdraw().await;
                return Err(error);
            }
        }
        Ok(None)
    }

    /// Records that a job is about to be claimed. Without its storage a worker claims nothing: it could
    /// not store what the job makes either.
    async fn record(&mut self, job: &Job) -> Result<Option<ClaimGuard>, SourceError> {
        let Shared {
            records,
            source,
            options,
            ..
        } = &*self.shared;
        let Some(records) = records else {
            return Ok(Some(ClaimGuard::none()));
        };
        let open = records.open(job, source.claimant(), options.record_interval);
        match open.await {
            Ok(record) => {
                self.recording = Some(true);
                Ok(record)
            }
            // What it took before, it will take again.
            Err(error) if error.is_retryable() || self.recording == Some(true) => {
                Err(SourceError::Unavailable {
                    retry_after: None,
                    source: Box::new(error),
                })
            }
            Err(error) => {
                if self.recording.is_none() {
                    tracing::error!(error = %Chain(&error), "claims cannot be recorded: a job whose worker dies will be left hanging");
                }
                self.recording = Some(false);
                Ok(Some(ClaimGuard::none()))
            }
        }
    }

    fn start(&self, claimed: Claimed, slot: OwnedSemaphorePermit) {
        let Claimed {
            claim,
            record,
            scratch,
            type_slot,
            span,
        } = claimed;
        let (shared, shutdown) = (self.shared.clone(), self.shutdown.clone());
        let job = async move {
            shared.health.job_started();
            attempt::work(&shared, &shutdown, claim, record, scratch).await;
            shared.health.job_ended();
            drop(type_slot);
            // Before the slot: whoever takes that knows that the job has ended.
            shared.ended.notify_one();
            drop(slot);
        };
        self.jobs.spawn(job.instrument(span));
    }
}

fn poll_end(polled: &Result<Vec<Job>, SourceError>) -> PollEnd {
    match polled {
        Ok(offers) if offers.is_empty() => PollEnd::Empty,
        Ok(_) => PollEnd::Offered,
        Err(_) => PollEnd::Failed,
    }
}

fn claim_end(claim: &Result<source::Claimed, SourceError>) -> ClaimEnd {
    match claim {
        Ok(source::Claimed::Won(_)) => ClaimEnd::Won,
        Ok(source::Claimed::Taken) => ClaimEnd::Lost,
        Ok(source::Claimed::Fenced) => ClaimEnd::Fenced,
        Ok(source::Claimed::Unknown(_)) => ClaimEnd::Unknown,
        Err(_) => ClaimEnd::Failed,
    }
}

/// A random duration up to `longest`.
fn jitter(longest: Duration) -> Duration {
    longest.mul_f64(fastrand::f64())
}
