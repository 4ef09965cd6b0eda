//! Why a worker stopped, and what it did.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::scratch::ScratchError;
use crate::ledger::{Resolution, SweepReport};
use crate::observe::metrics::JobEnd;
use crate::source::SourceError;

/// The end of a run.
#[derive(Debug)]
#[non_exhaustive]
pub struct Stopped {
    /// Why.
    pub reason: StopReason,
    /// What was done.
    pub jobs: JobCounts,
}

/// Why a worker stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum StopReason {
    /// It was asked to, by a signal or by its owner.
    Requested,
    /// There was no job for so long.
    Idle(Duration),
    /// It was to stop when there is no further job.
    Drained,
    /// It was to stop after so many jobs.
    MaxJobs(usize),
    /// The source could not be reached for as long as the worker would have been idle.
    Unreachable(SourceError),
    /// No scratch folder could be made for as long as the worker would have been idle.
    NoScratch(ScratchError),
    /// The source refused the worker's account.
    Denied(SourceError),
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Requested => f.write_str("asked to stop"),
            Self::Idle(time) => write!(f, "idle for {} s", time.as_secs()),
            Self::Drained => f.write_str("no further job"),
            Self::MaxJobs(jobs) => write!(f, "all of its {jobs} jobs were claimed"),
            Self::NoScratch(error) => crate::Chain(error).fmt(f),
            Self::Unreachable(error) | Self::Denied(error) => crate::Chain(error).fmt(f),
        }
    }
}

/// How many jobs ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobCounts {
    /// Recorded as a success.
    pub succeeded: u64,
    /// Recorded as a failure.
    pub failed: u64,
    /// Given up, as nobody waited for the outcome any more.
    pub given_up: u64,
    /// Claimed, but the outcome could not be delivered while this worker had a say in it.
    pub undelivered: u64,
    /// Assignments that were wasted: another worker had a lower one and runs the job.
    pub fenced: u64,
    /// Claims of dead workers, or left over by this one, that were settled.
    pub recovered: u64,
}

/// Counts of a worker at work.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) succeeded: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) given_up: AtomicU64,
    pub(super) undelivered: AtomicU64,
    pub(super) fenced: AtomicU64,
    pub(super) recovered: AtomicU64,
}

impl Counters {
    /// Counts a job that ended.
    pub(super) fn ended(&self, end: JobEnd) {
        let counter = match end {
            JobEnd::Succeeded => &self.succeeded,
            JobEnd::Failed => &self.failed,
            JobEnd::GivenUp => &self.given_up,
            JobEnd::Undelivered => &self.undelivered,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts what a look settled, and returns how much that was.
    pub(super) fn recovered(&self, look: &SweepReport) -> u64 {
        let delivered = |settled: &&_| matches!(settled, (_, Ok(Resolution::Delivered(_))));
        let delivered = look.dead.iter().filter(delivered).count() as u64;
        self.recovered.fetch_add(delivered, Ordering::Relaxed);
        delivered
    }

    pub(super) fn read(&self) -> JobCounts {
        JobCounts {
            succeeded: self.succeeded.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            given_up: self.given_up.load(Ordering::Relaxed),
            undelivered: self.undelivered.load(Ordering::Relaxed),
            fenced: self.fenced.load(Ordering::Relaxed),
            recovered: self.recovered.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_to_stop_says_how_long_or_how_many() {
        let idle = StopReason::Idle(Duration::from_secs(90));
        assert_eq!(idle.to_string(), "idle for 90 s");
        assert_eq!(
            StopReason::MaxJobs(3).to_string(),
            "all of its 3 jobs were claimed"
        );
    }
}
