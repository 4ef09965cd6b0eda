//! What happens in a run, passed on to everything that keeps account of it: health, metrics and the run's counts.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::counts::JobCounts;
use crate::job::{Job, JobType};
use crate::ledger::{DeliveryObserver, Resolution, SweepReport};
use crate::observe::health::{Health, Phase};
use crate::observe::metrics::{ClaimEnd, JobEnd, Metrics, Operation, PollEnd};
use crate::source::{Claimed, SourceError};
use crate::storage::Storage;

/// Has one method for each event. Clones share what they observe into.
#[derive(Clone, Debug)]
pub(super) struct Observer {
    health: Health,
    metrics: Metrics,
    counts: Arc<Mutex<JobCounts>>,
}

impl Observer {
    pub(super) fn new(health: Health, metrics: Metrics) -> Self {
        Self {
            health,
            metrics,
            counts: Arc::default(),
        }
    }

    /// A storage whose transfers and retries are counted.
    pub(super) fn observed(&self, storage: &Storage) -> Storage {
        storage.with_observers(&self.metrics.storage_observers())
    }

    pub(super) fn phase_entered(&self, phase: Phase) {
        self.health.enter(phase);
    }

    /// The poll loop made progress.
    pub(super) fn loop_advanced(&self) {
        self.health.polled();
    }

    pub(super) fn polled(&self, job_type: &JobType, polled: &Result<Vec<Job>, SourceError>) {
        let end = match polled {
            Ok(offers) if offers.is_empty() => PollEnd::Empty,
            Ok(_) => PollEnd::Offered,
            Err(_) => PollEnd::Failed,
        };
        self.health.polled();
        self.metrics.polled(job_type, end);
        if polled.is_ok() {
            self.contact();
        }
    }

    /// A round found no job type to poll.
    pub(super) fn polls_skipped(&self) {
        self.health.reset();
    }

    /// A round of polls and claims failed. It is tried again, after `pause` if the source asked for one.
    pub(super) fn round_failed(&self, pause: Duration) {
        self.health.excuse_pause(pause);
        self.retried(Operation::Poll);
    }

    /// A claim was answered.
    pub(super) fn claimed(&self, job: &Job, claimed: &Result<Claimed, SourceError>) {
        let end = match claimed {
            Ok(Claimed::Won(_)) => ClaimEnd::Won,
            Ok(Claimed::Taken) => ClaimEnd::Lost,
            Ok(Claimed::Fenced) => ClaimEnd::Fenced,
            Ok(Claimed::Unknown(_)) => ClaimEnd::Unknown,
            Err(_) => ClaimEnd::Failed,
        };
        self.health.polled();
        self.metrics.claimed(job, end);
        self.counts().fenced += u64::from(end == ClaimEnd::Fenced);
    }

    /// A claim was not answered before the worker had to stop.
    pub(super) fn claim_unanswered(&self, job: &Job) {
        self.metrics.claimed(job, ClaimEnd::Unknown);
    }

    pub(super) fn slot_taken(&self) {
        self.health.job_started();
    }

    /// Once for each [`slot_taken`](Self::slot_taken).
    pub(super) fn slot_freed(&self) {
        self.health.job_ended();
    }

    /// The source answered as it should.
    pub(super) fn contact(&self) {
        self.health.contact();
    }

    /// Something is tried again.
    pub(super) fn retried(&self, operation: Operation) {
        self.metrics.retries(operation).inc();
    }

    pub(super) fn delivery_started(&self) {
        self.health.delivery_started();
    }

    /// Once for each [`delivery_started`](Self::delivery_started).
    pub(super) fn delivery_ended(&self) {
        self.health.delivery_ended();
    }

    /// A job ended `took` after its claim.
    pub(super) fn job_ended(&self, job_type: &JobType, end: JobEnd, took: Duration) {
        self.counts().add(end);
        self.metrics.ended(job_type, end, took);
    }

    /// Claims of dead workers were resolved, or could not be.
    pub(super) fn swept(&self, report: &SweepReport) {
        let delivered = |resolved: &&_| matches!(resolved, (_, Ok(Resolution::Delivered(_))));
        let delivered = report.dead.iter().filter(delivered).count() as u64;
        self.counts().recovered += delivered;
        self.metrics.recovered(delivered);
    }

    /// The worker cannot start jobs, for this reason; with `None` it can.
    pub(super) fn blocked(&self, reason: Option<String>) {
        self.health.set_blocked(reason);
    }

    pub(super) fn counts(&self) -> MutexGuard<'_, JobCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DeliveryObserver for Observer {
    fn delivered(&self) {
        self.contact();
    }

    fn tried_again(&self) {
        self.retried(Operation::Deliver);
    }
}
