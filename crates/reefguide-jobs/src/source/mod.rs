//! Where jobs come from.
//!
//! A [`JobSource`] is one job system seen from a worker: it offers jobs, lets one worker claim a job,
//! and takes the outcome. [`reefguide`] is the ReefGuide web API; another job system is another
//! implementation, and neither the runtime nor a handler notices.

pub mod reefguide;

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;

use crate::job::{Claim, Job, JobId, JobStatus, JobType, Outcome};

/// A job system, seen from a worker.
///
/// Every call bounds its own time. Except where noted, a call makes a single try: the runtime decides
/// when to try again.
#[async_trait]
pub trait JobSource: Send + Sync + 'static {
    /// The jobs of one type that wait for a worker, a limited number of them, perhaps none.
    ///
    /// Cancel safe.
    async fn poll(&self, job_type: &JobType) -> Result<Vec<Job>, SourceError>;

    /// Tries to become the one worker that runs `job`.
    ///
    /// A claim is won only when nobody else may hold one for the same job. When the answer to a claim
    /// is lost, the implementation finds out what became of it, for as long as that takes within the
    /// lease. An error means that this worker holds nothing for sure; see [`Claimed::Unknown`].
    ///
    /// Not cancel safe: dropped halfway, the job may stay assigned to a worker that does not run it,
    /// until its claim is [recovered](Self::recover).
    async fn claim(&self, job: &Job) -> Result<Claimed, SourceError>;

    /// What this process is called in its claims. No other process may be called the same.
    fn claimant(&self) -> &str;

    /// The claim that `claimant`, which has died, holds on a job: `None` when it holds none, lost it,
    /// or the job has ended. Whoever asks may deliver an outcome for it, and nothing else.
    ///
    /// A source that hands out the jobs of dead workers again by itself returns `None`.
    ///
    /// Cancel safe.
    async fn recover(&self, job: &JobId, claimant: &str) -> Result<Option<Claim>, SourceError>;

    /// Whether a claim still stands, asked now and then while its job runs; by default it does.
    ///
    /// Cancel safe.
    async fn claim_status(&self, claim: &Claim) -> Result<ClaimStatus, SourceError> {
        let _ = claim;
        Ok(ClaimStatus::Held)
    }

    /// Whether the source could take this outcome at all (its size, its form), before any output is
    /// stored for it. The source may still refuse it when it is delivered.
    fn check(&self, outcome: &Outcome) -> Result<(), SourceError> {
        let _ = outcome;
        Ok(())
    }

    /// How many outputs of a job its users can be shown; by default any number. A job with more is
    /// stored all the same, with a warning.
    fn most_outputs(&self) -> Option<usize> {
        None
    }

    /// Hands over the outcome of a claim.
    ///
    /// Safe to repeat: once an outcome is recorded, it is [`Delivery::AlreadyRecorded`].
    async fn deliver(&self, claim: &Claim, outcome: &Outcome) -> Result<Delivery, SourceError>;
}

/// What came of trying to claim a job.
#[derive(Debug)]
pub enum Claimed {
    /// The job is this worker's.
    Won(Claim),
    /// Another worker was faster; nothing was assigned to this one.
    Taken,
    /// The job was assigned to this worker and to another who goes first: the assignment is wasted.
    Fenced,
    /// The job may be this worker's, now or in a moment, but the source did not say so. It must not be
    /// run; [`JobSource::recover`] tells later.
    Unknown(SourceError),
}

/// Whether a claim stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimStatus {
    /// The job is this worker's.
    Held,
    /// Nobody waits for this worker's outcome any more.
    Ended {
        /// What happened, such as `the job is CANCELLED`.
        reason: String,
    },
    /// The source says that it does not know the job. As that is the end of hours of work, it is believed only when the
    /// next answer says so, too.
    Gone,
}

/// What became of a delivered outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The source recorded it now.
    Recorded,
    /// The source had an outcome for this claim already: this one, if an answer was lost, or one of
    /// somebody who took this worker for dead. With the job's status, if it could be learned.
    AlreadyRecorded(Option<JobStatus>),
}

/// Why a source could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The source cannot be reached, or has trouble of its own: try again.
    #[error("job source unavailable")]
    Unavailable {
        /// How long the source asked to be left alone.
        retry_after: Option<Duration>,
        /// What happened.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The worker's account may not do this. Nothing will change until somebody changes it.
    #[error("access denied")]
    Denied {
        /// What happened.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The source does not take this result for this job.
    #[error("result refused")]
    ResultRefused {
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The source refused the request for another reason.
    #[error("request refused")]
    Refused {
        /// What happened.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl SourceError {
    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    /// How long the source asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}
