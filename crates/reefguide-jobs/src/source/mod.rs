//! Where jobs come from.
//!
//! A [`JobSource`] is a job system as a worker sees it: it offers jobs, lets one worker claim each job, and accepts the
//! outcome. [`reefguide`] is the source for the ReefGuide web API. Support for another job system is another implementation
//! of the trait; runtime and handlers stay the same.

pub mod reefguide;

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;

use crate::job::{Claim, Job, JobId, JobStatus, JobType, Outcome};

/// A job system, as a worker sees it.
///
/// Every call limits its own duration. Except where noted, a call makes a single try; the runtime decides when to try
/// again.
#[async_trait]
pub trait JobSource: Send + Sync + 'static {
    /// Jobs of one type that wait for a worker, up to some limit.
    ///
    /// Cancel safe.
    async fn poll(&self, job_type: &JobType) -> Result<Vec<Job>, SourceError>;

    /// Tries to become the only worker that runs `job`.
    ///
    /// A claim is won only if no other worker can hold one for the same job. If the answer to a claim is lost, the
    /// implementation finds out whether the claim was won, and keeps trying until the lease ends. An error means that this
    /// worker certainly holds no claim; see [`Claimed::Unknown`].
    ///
    /// Not cancel safe: if it is dropped halfway, the job may stay assigned to a worker that does not run it, until the
    /// claim is [recovered](Self::recover).
    async fn claim(&self, job: &Job) -> Result<Claimed, SourceError>;

    /// The identity of this process in its claims. It must be unique to the process.
    fn claimant(&self) -> &str;

    /// The claim that `claimant`, a dead worker, holds on a job. Returns `None` if it holds none, has lost it, or the job
    /// has ended. The caller may only deliver an outcome for the claim.
    ///
    /// A source that itself offers the jobs of dead workers again returns `None`.
    ///
    /// Cancel safe.
    async fn recover(&self, job: &JobId, claimant: &str) -> Result<Option<Claim>, SourceError>;

    /// Whether a claim is still held. Called at intervals while the job runs; by default the claim is held.
    ///
    /// Cancel safe.
    async fn claim_status(&self, claim: &Claim) -> Result<ClaimStatus, SourceError> {
        let _ = claim;
        Ok(ClaimStatus::Held)
    }

    /// Checks an outcome's size and form before any output is stored. The source may still refuse the outcome when it is
    /// delivered.
    fn check(&self, outcome: &Outcome) -> Result<(), SourceError> {
        let _ = outcome;
        Ok(())
    }

    /// How many outputs of a job its users can see; unlimited by default. If a job has more, the worker stores them all and
    /// logs a warning.
    fn most_outputs(&self) -> Option<usize> {
        None
    }

    /// Delivers the outcome of a claim.
    ///
    /// Safe to repeat: if an outcome is recorded already, this returns [`Delivery::AlreadyRecorded`].
    async fn deliver(&self, claim: &Claim, outcome: &Outcome) -> Result<Delivery, SourceError>;
}

/// The result of trying to claim a job.
#[derive(Debug)]
pub enum Claimed {
    /// The job is this worker's.
    Won(Claim),
    /// Another worker was faster; nothing was assigned to this one.
    Taken,
    /// The job was assigned to this worker and to another one that takes precedence. The assignment is wasted.
    Fenced,
    /// The job may be this worker's, now or in a moment, but the source has not confirmed it. This worker must not run the
    /// job; [`JobSource::recover`] resolves the claim later.
    Unknown(SourceError),
}

/// Whether a claim is still held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimStatus {
    /// The job is this worker's.
    Held,
    /// There is no use for this worker's outcome.
    Ended {
        /// What happened, such as `the job is CANCELLED`.
        reason: String,
    },
    /// The source says that it does not know the job. Since giving up may discard hours of work, the runtime waits for a
    /// second such answer.
    Gone,
}

/// How the source took an outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The source recorded it.
    Recorded,
    /// The source already had an outcome for this claim: this one, if an answer was lost, or one from a worker that
    /// considered this one dead. Contains the job's status, if that could be read.
    AlreadyRecorded(Option<JobStatus>),
}

/// Why a call to a source failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The source cannot be reached, or failed: try again.
    #[error("job source unavailable")]
    Unavailable {
        /// How long the source asked to be left alone.
        retry_after: Option<Duration>,
        /// What happened.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The worker's account may not do this. Trying again does not help until its rights change.
    #[error("access denied")]
    Denied {
        /// What happened.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The source does not accept this result for this job.
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
