//! Why a worker stopped, and what it did.

use std::fmt;
use std::time::Duration;

use super::counts::JobCounts;
use super::scratch::ScratchError;
use crate::source::SourceError;

/// The end of a run.
#[derive(Debug)]
#[non_exhaustive]
pub struct Stopped {
    /// Why.
    pub reason: StopReason,
    /// What it did.
    pub jobs: JobCounts,
}

/// Why a worker stopped.
#[derive(Debug)]
#[non_exhaustive]
pub enum StopReason {
    /// It was asked to, by a signal or by its owner.
    Requested,
    /// There was no job for this long.
    Idle(Duration),
    /// There was no further job, and the worker was configured to stop then.
    Drained,
    /// It claimed its maximum number of jobs.
    MaxJobs(usize),
    /// The source could not be reached for the idle time.
    Unreachable(SourceError),
    /// No scratch folder could be made for the idle time.
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
