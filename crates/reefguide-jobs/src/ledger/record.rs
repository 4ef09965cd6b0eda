//! The record of one claim, as it is stored in the ledger.

use std::fmt::Display;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::job::{JobId, JobType, Outcome};

/// A worker counts as dead if it has not renewed a record for this many intervals.
const DEAD_AFTER: u32 = 5;

/// How long a record may go without a renewal before its worker counts as dead, if it should renew it every `interval`.
pub(super) fn dead_after(interval: Duration) -> Duration {
    interval.saturating_mul(DEAD_AFTER)
}

/// A claim that is not resolved, as it is recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClaimRecord {
    /// The job.
    pub job_id: JobId,
    /// Its type.
    pub job_type: JobType,
    /// The worker's identity in its claims; see [`JobSource::claimant`](crate::source::JobSource::claimant).
    pub claimant: String,
    /// When the record was last written, by the worker's clock; for display only.
    pub written_at: Timestamp,
    /// How often the worker has renewed it.
    pub renewals: u64,
    /// How often the worker renews it, in milliseconds.
    pub interval_ms: u64,
    /// The outcome to deliver to the source; `None` while the job runs.
    pub outcome: Option<Outcome>,
}

impl ClaimRecord {
    /// How long it may go without a renewal before its worker counts as dead, unless [`Recovery`] has another limit.
    ///
    /// [`Recovery`]: super::Recovery
    pub fn dead_after(&self) -> Duration {
        dead_after(self.interval())
    }

    /// How often the worker renews it.
    pub fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms)
    }
}

/// An id as part of a key or of a folder's name: letters and digits stay as they are, other characters become their code
/// point.
pub fn escape_id(id: &impl Display) -> String {
    let mut escaped = String::new();
    for c in id.to_string().chars() {
        match c.is_ascii_alphanumeric() {
            true => escaped.push(c),
            false => escaped.push_str(&format!("_{:x}_", u32::from(c))),
        }
    }
    escaped
}
