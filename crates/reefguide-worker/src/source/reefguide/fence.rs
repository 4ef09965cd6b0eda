//! Claiming with a fence (contract, section 3, "Claiming is a race that the server does not decide").
//!
//! The API gives one job to every worker that asks at the same moment. So nobody runs a job on the word
//! of `assign`: after a settle delay, in which the other assignments become visible, the job is read
//! back, and the lowest assignment that has no result wins. The others fall silent.

use std::time::Duration;

use async_trait::async_trait;
use backon::Retryable;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::client::Client;
use super::error::ApiError;
use super::wire::{AssignmentRecord, JobDetails};
use crate::Chain;
use crate::job::{AssignmentId, Claim, Job, JobId, JobType, Outcome};
use crate::retry::RetryPolicy;
use crate::source::{Delivery, JobSource, SourceError};

/// How long an assignment holds if the API does not say: its own default.
const DEFAULT_LEASE: Duration = Duration::from_secs(60 * 60);

/// Between tries of reading a job back.
const READ_BACK: RetryPolicy = RetryPolicy::new(Duration::from_millis(500))
    .cap(Duration::from_secs(15))
    .unlimited();

/// The ReefGuide API as a source of jobs.
#[derive(Clone, Debug)]
pub struct ReefGuide {
    client: Client,
    task_arn: String,
    cluster_arn: String,
    settle: Duration,
    fenced: bool,
}

/// Sets up [`ReefGuide`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ReefGuideBuilder(ReefGuide);

impl ReefGuideBuilder {
    /// The ECS task and cluster this worker runs in, as the API records them. The task must be this
    /// process's alone: a claim whose answer was lost is found again by it. A random one by default.
    pub fn task(mut self, task_arn: impl Into<String>, cluster_arn: impl Into<String>) -> Self {
        self.0.task_arn = task_arn.into();
        self.0.cluster_arn = cluster_arn.into();
        self
    }

    /// How long a claim settles before the job is read back; 250 ms by default, with which one winner
    /// was left in every case that was measured (contract, section 3).
    pub fn settle(mut self, settle: Duration) -> Self {
        self.0.settle = settle;
        self
    }

    /// Runs every job that was assigned, also those that others were given too. For the test that
    /// shows what the fence is for.
    #[doc(hidden)]
    pub fn without_fence(mut self) -> Self {
        self.0.fenced = false;
        self
    }

    /// Makes the source.
    pub fn build(self) -> ReefGuide {
        self.0
    }
}

impl ReefGuide {
    /// Begins a source of jobs from the API behind `client`.
    pub fn builder(client: Client) -> ReefGuideBuilder {
        ReefGuideBuilder(Self {
            client,
            task_arn: format!("local/{}", uuid::Uuid::new_v4()),
            cluster_arn: String::new(),
            settle: Duration::from_millis(250),
            fenced: true,
        })
    }

    /// The API's client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Reads the job back, again and again while the API is away, until the lease has run out.
    async fn read_back(&self, job: &JobId, claimed_at: Instant) -> Result<JobDetails, ApiError> {
        (|| self.client.job(job))
            .retry(READ_BACK)
            .when(|error: &ApiError| error.is_retryable() && claimed_at.elapsed() < DEFAULT_LEASE)
            .adjust(|error, delay| delay.map(|delay| delay.max(error.retry_after().unwrap_or_default())))
            .notify(|error, delay| {
                let error = Chain(error);
                tracing::warn!(job_id = %job, %error, ?delay, "claim not read back yet, trying again");
            })
            .await
    }

    /// Our assignment, if it is the one that may go on.
    fn winner(&self, details: JobDetails, ours: Option<&AssignmentId>) -> Option<AssignmentRecord> {
        if details.job.status.is_final() {
            return None;
        }
        let is_ours = |record: &AssignmentRecord| match ours {
            Some(id) => record.id == *id,
            None => record.ecs_task_arn == self.task_arn,
        };
        let mut open: Vec<_> = details
            .assignments
            .into_iter()
            .filter(|record| record.completed_at.is_none())
            .collect();
        if !self.fenced {
            open.retain(is_ours);
        }
        open.into_iter()
            .min_by(|a, b| a.id.cmp(&b.id))
            .filter(is_ours)
    }
}

#[async_trait]
impl JobSource for ReefGuide {
    async fn poll(&self, job_type: &JobType) -> Result<Vec<Job>, SourceError> {
        let jobs = self.client.poll(Some(job_type)).await?;
        Ok(jobs.into_iter().map(Job::from).collect())
    }

    async fn claim(&self, job: &Job) -> Result<Option<Claim>, SourceError> {
        let claimed_at = Instant::now();
        let assigned = match self
            .client
            .assign(&job.id, &self.task_arn, &self.cluster_arn)
            .await
        {
            Ok(record) => Some(record.id),
            Err(ApiError::Refused { .. } | ApiError::NotFound { .. }) => return Ok(None),
            Err(error) if error.may_have_acted() => {
                let error = Chain(&error);
                tracing::warn!(job_id = %job.id, %error, "no answer to a claim, looking whether it holds");
                None
            }
            Err(error) => return Err(error.into()),
        };
        tokio::time::sleep(self.settle).await;
        let details = self.read_back(&job.id, claimed_at).await?;
        let Some(record) = self.winner(details, assigned.as_ref()) else {
            tracing::debug!(job_id = %job.id, assignment_id = assigned.map(tracing::field::display), "claim lost");
            return Ok(None);
        };
        let lease = lease(&record);
        Ok(Some(Claim {
            job: job.clone(),
            assignment: record.into(),
            claimed_at,
            lease: Some(lease),
        }))
    }

    fn check(&self, outcome: &Outcome) -> Result<(), SourceError> {
        match outcome {
            Outcome::Succeeded { result } => {
                Ok(Client::check_result(&outcome.status(), &present(result))?)
            }
            Outcome::Failed { .. } => Ok(()),
        }
    }

    async fn deliver(&self, claim: &Claim, outcome: &Outcome) -> Result<Delivery, SourceError> {
        // The types' schemas are strict and have no place for a reason: a failure has no payload.
        let payload = match outcome {
            Outcome::Succeeded { result } => Some(present(result)),
            Outcome::Failed { .. } => None,
        };
        let posted = self
            .client
            .post_result(&claim.assignment.id, &outcome.status(), payload.as_ref())
            .await;
        match posted {
            Ok(()) => Ok(Delivery::Recorded),
            Err(ApiError::Refused { message, .. })
                if message == "Assignment already completed!" =>
            {
                Ok(Delivery::AlreadyRecorded)
            }
            Err(error @ (ApiError::Refused { .. } | ApiError::Invalid { .. })) => {
                Err(SourceError::ResultRefused {
                    source: Box::new(error),
                })
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// A result that the API checks: it takes `null` for any type, whatever the type's schema wants.
fn present(result: &Value) -> Value {
    if result.is_null() {
        json!({})
    } else {
        result.clone()
    }
}

/// How long an assignment holds, by the server's clock alone.
fn lease(record: &AssignmentRecord) -> Duration {
    let (Some(created), Some(expires)) = (record.created_at, record.expires_at) else {
        return DEFAULT_LEASE;
    };
    expires
        .duration_since(created)
        .try_into()
        .unwrap_or(Duration::ZERO)
}
