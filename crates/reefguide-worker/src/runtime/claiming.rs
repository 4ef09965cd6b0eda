//! The loop that claims jobs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span, field};

use super::call::{job_span, note_assignment};
use super::job;
use super::scratch::{Prepared, Scratch, ScratchError};
use super::shared::Shared;
use super::shutdown::Shutdown;
use super::stopped::StopReason;
use crate::Chain;
use crate::job::{Claim, Job, JobType};
use crate::ledger::ClaimGuard;
use crate::retry::RetryPolicy;
use crate::source::{Claimed, SourceError};
use crate::trace;

/// Between polls that failed.
const POLL_RETRY: RetryPolicy = RetryPolicy::new(Duration::from_secs(1))
    .cap(Duration::from_secs(30))
    .unlimited();

/// After claims that other workers won, so that the polls of a fleet are spread out.
const CONTENTION: RetryPolicy = RetryPolicy::new(Duration::from_millis(200))
    .cap(Duration::from_secs(5))
    .unlimited();

/// How many of the offered jobs are claimed at most before polling again.
const CLAIMS_A_POLL: usize = 3;

/// A claimed job, and what it needs to run.
struct ReadyJob {
    claim: Claim,
    record: ClaimGuard,
    scratch: Option<Scratch>,
    /// Held while the job runs, if its type has a limit of slots.
    type_slot: Option<OwnedSemaphorePermit>,
    span: Span,
}

/// What one round of polling brought.
enum Round {
    Claimed(Box<ReadyJob>),
    /// Others were faster.
    Lost,
    /// There is no job, or none of a type with a free slot.
    Empty,
    Failed(SourceError),
    /// No job could be started, so none must be claimed for this long.
    NoScratch(ScratchError, Duration),
}

/// The claiming side of a run.
pub(super) struct Claiming {
    shared: Arc<Shared>,
    job_types: Vec<JobType>,
    /// The slots of types that have a limit.
    type_slots: HashMap<JobType, Arc<Semaphore>>,
    shutdown: Shutdown,
    jobs: TaskTracker,
    /// Types that the source refused; each is logged once.
    refused: Vec<JobType>,
    /// Whether the storage takes records; `None` before the first.
    recording: Option<bool>,
    /// The folders for the next job.
    prepared: Prepared,
}

impl Claiming {
    pub(super) fn new(
        shared: Arc<Shared>,
        job_types: Vec<JobType>,
        shutdown: Shutdown,
        jobs: TaskTracker,
    ) -> Self {
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
            // Consumed here, because this round polls for the freed slot anyway.
            let ended = self.shared.ended.notified().now_or_never().is_some();
            if ended || !self.jobs.is_empty() {
                idle_since = Instant::now();
            }
            let Shared {
                observer,
                scratch,
                blockers,
                ..
            } = &*self.shared;
            observer.loop_advanced();
            let round = match self.prepared.ready(scratch, blockers) {
                Ok(()) => self.round().await,
                Err((error, wait)) => Round::NoScratch(error, wait),
            };
            self.shared.observer.loop_advanced();
            if !matches!(round, Round::Failed(_)) {
                failures = POLL_RETRY.delays();
            }
            if !matches!(round, Round::Lost) {
                losses = CONTENTION.delays();
            }
            // Why nothing could be claimed, if the worker is not just idle.
            let mut failing = None;
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
                    self.shared.observer.round_failed(asked);
                    let delay = failures.next().unwrap_or_default().max(asked);
                    tracing::warn!(error = %Chain(&error), delay_s = delay.as_secs_f64(), "polling or claiming failed, trying again");
                    failing = Some(StopReason::Unreachable(error));
                    delay
                }
                Round::NoScratch(error, wait) => {
                    failing = Some(StopReason::NoScratch(error));
                    wait
                }
            };
            drop(slot);
            // Idleness is decided only here, after a round that claimed nothing, so it cannot race a claim.
            let idle_left = match self.shared.options.idle_timeout {
                Some(timeout) if self.jobs.is_empty() => {
                    let idle = idle_since.elapsed();
                    if idle >= timeout {
                        return failing.unwrap_or(StopReason::Idle(idle));
                    }
                    timeout - idle
                }
                _ => Duration::MAX,
            };
            tokio::select! {
                () = self.shutdown.stop.cancelled() => return StopReason::Requested,
                // A freed slot is a reason to poll again at once, except while the source is failing.
                () = self.shared.ended.notified(), if !matches!(failing, Some(StopReason::Unreachable(_))) => {
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

    /// Polls each type that has a free slot once until a job is claimed. Each round starts with another type.
    async fn round(&mut self) -> Round {
        self.job_types.rotate_left(1);
        let mut round = Round::Empty;
        let mut polled_any = false;
        for job_type in self.job_types.clone() {
            let Ok(type_slot) = self.type_slot(&job_type) else {
                continue;
            };
            if self.shared.blockers.affect(&job_type) {
                continue;
            }
            polled_any = true;
            let Some(polled) = self.poll(&job_type).await else {
                return Round::Empty;
            };
            self.shared.observer.polled(&job_type, &polled);
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
            // If every worker took the first job, they would collide.
            fastrand::shuffle(&mut offers);
            for job in offers.into_iter().take(CLAIMS_A_POLL) {
                if self.shutdown.stop.is_cancelled() || self.shared.blockers.affect(&job_type) {
                    return round;
                }
                let span = job_span(&job);
                trace::join(&span, &trace::of_payload(&job.payload));
                match self.claim(&job).instrument(span.clone()).await {
                    Ok(Some((claim, record))) => {
                        note_assignment(&span, &claim.assignment);
                        return Round::Claimed(Box::new(ReadyJob {
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
            self.shared.observer.polls_skipped();
        }
        round
    }

    /// Polls one type; `None` when the worker has to stop.
    async fn poll(&self, job_type: &JobType) -> Option<Result<Vec<Job>, SourceError>> {
        // A separate trace, which belongs to no job.
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

    /// A free slot of a type, if the type has a limit; an error if none is free.
    fn type_slot(
        &self,
        job_type: &JobType,
    ) -> Result<Option<OwnedSemaphorePermit>, TryAcquireError> {
        let slots = self.type_slots.get(job_type).cloned();
        slots.map(Semaphore::try_acquire_owned).transpose()
    }

    /// Claims a job, which is recorded before the request is sent; `None` when another worker has it.
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
        // A claim that was sent is awaited even if the worker is asked to stop meanwhile.
        let claim = tokio::select! {
            claim = claiming => claim,
            () = self.shutdown.give_up.cancelled() => {
                tracing::error!(job_id = %job.id, job_type = %job.job_type, "gave up on a claim without an answer");
                self.shared.observer.claim_unanswered(job);
                return Ok(None);
            }
        };
        span.record("won", matches!(claim, Ok(Claimed::Won(_))));
        drop(span);
        self.shared.observer.claimed(job, &claim);
        match claim {
            Ok(Claimed::Won(claim)) => return Ok(Some((claim, record))),
            Ok(Claimed::Taken | Claimed::Fenced) => record.withdraw().await,
            Ok(Claimed::Unknown(error)) => return Err(error),
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
            // A storage that has taken a record before is expected to recover.
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

    fn start(&self, ready: ReadyJob, slot: OwnedSemaphorePermit) {
        let ReadyJob {
            claim,
            record,
            scratch,
            type_slot,
            span,
        } = ready;
        let (shared, shutdown) = (self.shared.clone(), self.shutdown.clone());
        let job = async move {
            shared.observer.slot_taken();
            job::run(&shared, &shutdown, claim, record, scratch).await;
            shared.observer.slot_freed();
            drop(type_slot);
            // Before the slot is freed, so that the round that takes it knows that the job has ended.
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
