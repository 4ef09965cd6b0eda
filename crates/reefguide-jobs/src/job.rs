//! The words every room speaks: a job, its type and status, the claim on it and its outcome.
//!
//! Nothing here knows where jobs come from. A source (see [`crate::source`]) turns what its server
//! says into these words, the runtime moves them along, handlers read them.

use std::time::Duration;

use jiff::Timestamp;
pub use reefguide_client::job::{AssignmentId, JobId, JobStatus, JobType};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

/// A job as a source offers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Which job.
    pub id: JobId,
    /// What it asks for.
    pub job_type: JobType,
    /// What its submitter sent. Numbers may have lost precision on the way (contract, section 4).
    pub payload: Value,
    /// When it was submitted, by the server's clock; for display and metrics only.
    pub created_at: Option<Timestamp>,
    /// Why the job cannot be run, if its source could read no more than its id. Such a job is claimed and fails with
    /// this reason, as it would never be reported otherwise.
    #[serde(default)]
    pub unreadable: Option<String>,
}

/// A job given to this worker for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// Which assignment.
    pub id: AssignmentId,
    /// Where the outputs go: a storage URI, as the source gave it.
    pub storage_uri: String,
    /// When the lease ends, by the server's clock; for display only, see [`Claim::lease`].
    pub expires_at: Option<Timestamp>,
}

/// A job this worker alone may run: it was assigned, and the fence is passed.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The job.
    pub job: Job,
    /// The assignment that won it.
    pub assignment: Assignment,
    /// When the claim was sent. The lease cannot have begun before.
    pub claimed_at: Instant,
    /// How long the claim holds, counted from `claimed_at`; `None` when the source sets no limit.
    pub lease: Option<Duration>,
}

impl Claim {
    /// When the lease ends on the monotonic clock.
    pub fn lease_end(&self) -> Option<Instant> {
        self.lease
            .and_then(|lease| self.claimed_at.checked_add(lease))
    }
}

/// How an attempt ended, as it is delivered to the source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Outcome {
    /// The handler returned this result, and every output is stored.
    Succeeded {
        /// The handler's output.
        result: Value,
    },
    /// The job failed.
    Failed {
        /// Why, for the log and for sources that can carry it.
        reason: String,
    },
}

impl Outcome {
    /// The job's status once this outcome is recorded.
    pub fn status(&self) -> JobStatus {
        match self {
            Self::Succeeded { .. } => JobStatus::Succeeded,
            Self::Failed { .. } => JobStatus::Failed,
        }
    }
}
