//! The ReefGuide API as a source of jobs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::Instrument;

use super::fence::{held_by, lists, may_go_on, why_ended};
use crate::job::{AssignmentId, Claim, Job, JobId, JobType, Outcome};
use crate::source::{ClaimStatus, Claimed, Delivery, JobSource, SourceError};
use reefguide_client::{ApiError, AssignmentRecord, Client, JobDetails};
use reefguide_transport::Chain;
use reefguide_transport::retry::{RetryObserver, RetryPolicy};

/// How long an assignment is valid if the API does not say so: the API's default.
const DEFAULT_LEASE: Duration = Duration::from_secs(60 * 60);

/// Between tries of reading a job back.
const READ_BACK: RetryPolicy = RetryPolicy::new(Duration::from_millis(500))
    .cap(Duration::from_secs(15))
    .unlimited();

/// After this many answers that trying again is unlikely to change, reading back is given up.
const READ_BACK_REFUSALS: usize = 5;

/// Between tries of reading the status of a job that is already reported.
const REPORTED: RetryPolicy = RetryPolicy::new(Duration::from_millis(200))
    .cap(Duration::from_secs(2))
    .tries(4);

/// If a job has more files, the API lets users download none of them (API contract, "Storage").
const MOST_OUTPUTS: usize = 25;

/// The ReefGuide API as a source of jobs.
#[derive(Clone, Debug)]
pub struct ReefGuide {
    client: Client,
    task_arn: String,
    cluster_arn: String,
    settle: Duration,
    fenced: bool,
    retries: Option<Arc<dyn RetryObserver>>,
}

/// Sets up a [`ReefGuide`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ReefGuideBuilder(ReefGuide);

impl ReefGuideBuilder {
    /// How long a claim settles unless [`settle`](Self::settle) says otherwise.
    pub const DEFAULT_SETTLE: Duration = Duration::from_millis(250);

    /// The ECS task and cluster that this worker runs in, as the API records them. The task must be unique to this process,
    /// because it identifies a claim whose answer was lost. By default it is random.
    pub fn task(mut self, task_arn: impl Into<String>, cluster_arn: impl Into<String>) -> Self {
        self.0.task_arn = task_arn.into();
        self.0.cluster_arn = cluster_arn.into();
        self
    }

    /// How long to wait between a claim and reading the job back. By default 250 ms, which left one winner in every measured
    /// case (API contract, "Claiming is a race that the server does not decide").
    pub fn settle(mut self, settle: Duration) -> Self {
        self.0.settle = settle;
        self
    }

    /// Is notified of further tries to read a job back; there is no observer by default.
    pub fn retry_observer(mut self, observer: impl RetryObserver + 'static) -> Self {
        self.0.retries = Some(Arc::new(observer));
        self
    }

    /// Runs every assigned job, even if it was assigned to other workers, too. For the test that shows what the fence is
    /// for.
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
    /// Sets up a source of jobs from the API of `client`.
    pub fn builder(client: Client) -> ReefGuideBuilder {
        ReefGuideBuilder(Self {
            client,
            task_arn: format!("local/{}", uuid::Uuid::new_v4()),
            cluster_arn: String::new(),
            settle: ReefGuideBuilder::DEFAULT_SETTLE,
            fenced: true,
            retries: None,
        })
    }

    /// The API's client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Reads the job back. While the API is unavailable or something in between answers, this keeps trying until the lease
    /// has run out. If the API itself refuses, or leaves out the assignment `made`, this gives up after a few tries.
    async fn read_back(
        &self,
        job: &Job,
        made: Option<&AssignmentId>,
        claimed_at: Instant,
    ) -> Result<JobDetails, ApiError> {
        let mut delays = READ_BACK.delays();
        let mut refusals = 0;
        loop {
            let error = match self.client.job(&job.id).await {
                Ok(details) if made.is_none_or(|made| lists(&details, made)) => return Ok(details),
                Ok(_) => {
                    refusals += 1;
                    ApiError::Foreign {
                        call: format!("GET /jobs/{}", job.id),
                        status: 200,
                        what: "the job as it was before it was claimed".into(),
                        retry_after: None,
                        source: None,
                    }
                }
                Err(error) => error,
            };
            let hopeless = error.is_denied() || error.is_gone();
            refusals += usize::from(!error.is_retryable());
            if hopeless || refusals == READ_BACK_REFUSALS || claimed_at.elapsed() >= DEFAULT_LEASE {
                return Err(error);
            }
            let asked = error.retry_after().unwrap_or_default();
            let delay = delays.next().unwrap_or_default().max(asked);
            if let Some(retries) = &self.retries {
                retries.tried_again(1);
            }
            tracing::warn!(job_id = %job.id, job_type = %job.job_type, error = %Chain(&error), delay_s = delay.as_secs_f64(), "claim not read back yet, trying again");
            tokio::time::sleep(delay).await;
        }
    }

    /// Whether the holder of the assignment `ours` may run the job.
    fn passes(&self, details: &JobDetails, ours: &AssignmentRecord) -> bool {
        !self.fenced || may_go_on(details, ours)
    }
}

#[async_trait]
impl JobSource for ReefGuide {
    async fn poll(&self, job_type: &JobType) -> Result<Vec<Job>, SourceError> {
        let jobs = self.client.poll(Some(job_type)).await?;
        Ok(jobs
            .into_iter()
            .map(|record| match Job::from(record) {
                // Its type may be what cannot be read, and the poll was for this one.
                job @ Job {
                    unreadable: Some(_),
                    ..
                } => Job {
                    job_type: job_type.clone(),
                    ..job
                },
                job => job,
            })
            .collect())
    }

    async fn claim(&self, job: &Job) -> Result<Claimed, SourceError> {
        let claimed_at = Instant::now();
        let assigned = self
            .client
            .assign(&job.id, &self.task_arn, &self.cluster_arn);
        let mut made = None;
        let unanswered = match assigned.await {
            Ok(assignment) => {
                made = Some(assignment.id);
                None
            }
            Err(ApiError::Refused { .. }) => return Ok(Claimed::Taken),
            Err(error) if error.is_gone() => return Ok(Claimed::Taken),
            Err(error) if error.may_have_acted() => {
                tracing::warn!(
                    job_id = %job.id,
                    job_type = %job.job_type,
                    error = %Chain(&error),
                    "no answer to a claim, checking whether it was won"
                );
                Some(error)
            }
            Err(error) => return Err(error.into()),
        };
        let fence = async {
            tokio::time::sleep(self.settle).await;
            self.read_back(job, made.as_ref(), claimed_at).await
        };
        let details = match fence.instrument(tracing::debug_span!("fence")).await {
            Ok(details) => details,
            Err(error) if error.is_gone() => return Ok(Claimed::Taken),
            Err(error) => return Ok(Claimed::Unknown(error.into())),
        };
        let Some(record) = held_by(&details, &self.task_arn) else {
            return Ok(match unanswered {
                // A slow server may still assign the job.
                Some(error) if !details.job.status.is_final() => Claimed::Unknown(error.into()),
                _ => Claimed::Taken,
            });
        };
        if !self.passes(&details, record) {
            tracing::info!(
                job_id = %job.id,
                job_type = %job.job_type,
                assignment_id = %record.id,
                "claim lost to another worker"
            );
            return Ok(Claimed::Fenced);
        }
        Ok(Claimed::Won(Claim {
            job: job.clone(),
            assignment: record.clone().into(),
            claimed_at,
            lease: Some(lease(record)),
        }))
    }

    fn claimant(&self) -> &str {
        &self.task_arn
    }

    /// The claim has no lease: the API accepts a result as long as the job has none, and offers the job to no other worker
    /// (API contract, "Expiry").
    async fn recover(&self, job: &JobId, claimant: &str) -> Result<Option<Claim>, SourceError> {
        let details = match self.client.job(job).await {
            Ok(details) => details,
            Err(error) if error.is_gone() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let held = held_by(&details, claimant).filter(|record| self.passes(&details, record));
        let assignment = held.map(|record| record.clone().into());
        Ok(assignment.map(|assignment| Claim {
            job: details.job.into(),
            assignment,
            claimed_at: Instant::now(),
            lease: None,
        }))
    }

    async fn claim_status(&self, claim: &Claim) -> Result<ClaimStatus, SourceError> {
        let ended = match self.client.job(&claim.job.id).await {
            Ok(details) => why_ended(&details, &claim.assignment.id),
            Err(error) if error.is_gone() => return Ok(ClaimStatus::Gone),
            Err(error) => return Err(error.into()),
        };
        Ok(ended.map_or(ClaimStatus::Held, |reason| ClaimStatus::Ended { reason }))
    }

    fn check(&self, outcome: &Outcome) -> Result<(), SourceError> {
        match outcome {
            Outcome::Succeeded { result } => {
                Ok(Client::check_result(&outcome.status(), &present(result))?)
            }
            Outcome::Failed { .. } => Ok(()),
        }
    }

    fn most_outputs(&self) -> Option<usize> {
        Some(MOST_OUTPUTS)
    }

    async fn deliver(&self, claim: &Claim, outcome: &Outcome) -> Result<Delivery, SourceError> {
        // The worker that wrote an outcome to a record may not have checked it.
        self.check(outcome)?;
        // A failure has no payload: the schemas of the types are strict and have no field for a reason.
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
                let details = REPORTED
                    .run(
                        || self.client.job(&claim.job.id),
                        |error, delay| error.is_retryable().then_some(delay),
                    )
                    .await;
                Ok(Delivery::AlreadyRecorded(
                    details.ok().map(|details| details.job.status),
                ))
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

/// A result that the API validates. It accepts `null` for every type, so `null` becomes an empty object.
fn present(result: &Value) -> Value {
    if result.is_null() {
        json!({})
    } else {
        result.clone()
    }
}

/// How long an assignment is valid. Both times are from the server's clock, so the two clocks need not agree.
fn lease(record: &AssignmentRecord) -> Duration {
    let (Some(created), Some(expires)) = (record.created_at, record.expires_at) else {
        return DEFAULT_LEASE;
    };
    expires
        .duration_since(created)
        .try_into()
        .unwrap_or(Duration::ZERO)
}
