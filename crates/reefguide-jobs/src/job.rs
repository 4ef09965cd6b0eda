//! The types that everything else shares: a job, its type and status, the claim on it and its outcome.
//!
//! They do not depend on a job system. A source (see [`crate::source`]) converts its server's data into these types.

use std::time::Duration;

use jiff::Timestamp;
pub use reefguide_client::job::{AssignmentId, JobId, JobStatus, JobType};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

/// A job, as a source offers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The job's id.
    pub id: JobId,
    /// Its type.
    pub job_type: JobType,
    /// What the submitter sent. Large numbers may have lost precision (API contract, "Transport").
    pub payload: Value,
    /// When it was submitted, by the server's clock; for display and metrics only.
    pub created_at: Option<Timestamp>,
    /// Why the job cannot be run, if the source could not read all of it. Such a job is claimed and fails with this reason,
    /// because otherwise it would never be reported.
    #[serde(default)]
    pub unreadable: Option<String>,
}

/// An assignment of a job to this worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The assignment's id.
    pub id: AssignmentId,
    /// The storage URI for the outputs, as the source gave it.
    pub storage_uri: String,
    /// When the lease ends, by the server's clock; for display only, see [`Claim::lease`].
    pub expires_at: Option<Timestamp>,
}

/// A job that only this worker may run: it was assigned to it and has passed the fence.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The job.
    pub job: Job,
    /// The assignment that won it.
    pub assignment: Assignment,
    /// When the claim was sent. The lease cannot have begun earlier.
    pub claimed_at: Instant,
    /// How long the claim is valid, counted from `claimed_at`; `None` if the source sets no limit.
    pub lease: Option<Duration>,
}

impl Claim {
    /// When the lease ends, on the monotonic clock.
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
        /// Why, for the log and for sources that accept a reason.
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
