//! How many jobs of a run ended how.

use crate::observe::metrics::JobEnd;

/// How many jobs ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobCounts {
    /// Reported as succeeded.
    pub succeeded: u64,
    /// Reported as failed.
    pub failed: u64,
    /// Given up, because the outcome was no longer wanted.
    pub given_up: u64,
    /// Claimed, but their outcome could not be delivered before the lease or the shutdown ended.
    pub undelivered: u64,
    /// Assignments that were wasted: another worker had a lower one and runs the job.
    pub fenced: u64,
    /// Claims of dead workers, or left over by this one, that were resolved.
    pub recovered: u64,
}

impl JobCounts {
    /// Counts a job that ended.
    pub(super) fn add(&mut self, end: JobEnd) {
        let count = match end {
            JobEnd::Succeeded => &mut self.succeeded,
            JobEnd::Failed => &mut self.failed,
            JobEnd::GivenUp => &mut self.given_up,
            JobEnd::Undelivered => &mut self.undelivered,
        };
        *count += 1;
    }
}
