//! Claiming with a fence (contract, section 3, "Claiming is a race that the server does not decide").
//!
//! The API gives one job to every worker that asks at the same moment. So nobody runs a job on the word
//! of `assign`: after a settle delay, in which the other assignments become visible, the job is read
//! back, and the lowest assignment wins, unless somebody has posted a result. The others fall silent.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::Instrument;

use crate::job::{AssignmentId, Claim, Job, JobId, JobType, Outcome};
use crate::source::{ClaimStatus, Claimed, Delivery, JobSource, SourceError};
use reefguide_client::{ApiError, AssignmentRecord, Client, JobDetails};
use reefguide_transport::Chain;
use reefguide_transport::retry::{RetryObserver, RetryPolicy};

/// How long an assignment holds if the API does not say: its own default.
const DEFAULT_LEASE: Duration = Duration::from_secs(60 * 60);

/// Between tries of reading a job back.
const READ_BACK: RetryPolicy = RetryPolicy::new(Duration::from_millis(500))
    .cap(Duration::from_secs(15))
    .unlimited();

/// How many answers that will not change are enough.
const READ_BACK_REFUSALS: usize = 5;

/// For learning who reported a job.
const REPORTED: RetryPolicy = RetryPolicy::new(Duration::from_millis(200))
    .cap(Duration::from_secs(2))
    .tries(4);

/// With more files than that, the API lets users download none of them (contract, section 3).
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

/// Sets up [`ReefGuide`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ReefGuideBuilder(ReefGuide);

impl ReefGuideBuilder {
    /// How long a claim settles unless [`settle`](Self::settle) says otherwise.
    pub const DEFAULT_SETTLE: Duration = Duration::from_millis(250);

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

    /// Who learns of jobs that are read back again; by default no one.
    pub fn retry_observer(mut self, observer: impl RetryObserver + 'static) -> Self {
        self.0.retries = Some(Arc::new(observer));
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
            settle: ReefGuideBuilder::DEFAULT_SETTLE,
            fenced: true,
            retries: None,
        })
    }

    /// The API's client.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Reads the job back, again and again while the API is away or something in between answers, until the lease has
    /// run out; a few times only when the API itself says something else, or leaves out the assignment `made`.
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

    /// Whether the holder of the assignment `ours` may go on.
    fn passes(&self, details: &JobDetails, ours: &AssignmentRecord) -> bool {
        !self.fenced || may_go_on(details, ours)
    }
}

fn lists(details: &JobDetails, assignment: &AssignmentId) -> bool {
    let mut records = details.assignments.iter();
    records.any(|record| record.id == *assignment)
}

/// The open assignment of a job to `claimant`.
fn held_by<'a>(details: &'a JobDetails, claimant: &str) -> Option<&'a AssignmentRecord> {
    let held = |record: &&AssignmentRecord| {
        record.ecs_task_arn == claimant && record.completed_at.is_none()
    };
    details
        .assignments
        .iter()
        .filter(held)
        .min_by_key(|record| &record.id)
}

/// Whether the holder of the assignment `ours` is the one who runs the job: nobody has done it, and
/// nobody holds a lower assignment that has no result.
fn may_go_on(details: &JobDetails, ours: &AssignmentRecord) -> bool {
    let is_open = |record: &AssignmentRecord| record.completed_at.is_none();
    // A job that was put back is offered again once the lease of its result has run out: such a result
    // is history. Any other was posted by somebody who raced us.
    let did_it = |record: &AssignmentRecord| {
        !is_open(record) && (record.expires_at.is_none() || record.expires_at > ours.created_at)
    };
    !details.job.status.is_final()
        && is_open(ours)
        && !details.assignments.iter().any(did_it)
        && details
            .assignments
            .iter()
            .filter(|record| is_open(record))
            .all(|record| ours.id <= record.id)
}

/// Why nobody waits for the outcome of the assignment `ours` any more, if so.
fn why_ended(details: &JobDetails, ours: &AssignmentId) -> Option<String> {
    let status = &details.job.status;
    if status.is_final() {
        return Some(format!("the job is {status}"));
    }
    let mut records = details.assignments.iter();
    let reported = records.any(|record| record.id == *ours && record.completed_at.is_some());
    reported.then(|| "its assignment has a result".to_owned())
}

#[async_trait]
impl JobSource for ReefGuide {
    async fn poll(&self, job_type: &JobType) -> Result<Vec<Job>, SourceError> {
        let jobs = self.client.poll(Some(job_type)).await?;
        Ok(jobs
            .into_iter()
            .map(|record| match Job::from(record) {
                // Perhaps its type is what cannot be read, and this one was asked for.
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
                    "no answer to a claim, looking whether it holds"
                );
                Some(error)
            }
            Err(error) => return Err(error.into()),
        };
        let settled = async {
            tokio::time::sleep(self.settle).await;
            self.read_back(job, made.as_ref(), claimed_at).await
        };
        let details = match settled.instrument(tracing::debug_span!("fence")).await {
            Ok(details) => details,
            Err(error) if error.is_gone() => return Ok(Claimed::Taken),
            Err(error) => return Ok(Claimed::Unknown(error.into())),
        };
        let Some(record) = held_by(&details, &self.task_arn) else {
            return Ok(match unanswered {
                // A server that is slow may still do what it was asked.
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

    /// The claim has no lease: the API takes a result as long as the job has none, and gives the job to
    /// nobody else (contract, section 3).
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
        // An outcome from a record may not have been checked by the worker that wrote it.
        self.check(outcome)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Assignments as (id, completed); each is made an hour after the one before, for 60 minutes,
    /// unless `raced`: then all are made at once.
    fn details(status: &str, raced: bool, assignments: &[(i64, bool)]) -> JobDetails {
        let assignments: Vec<_> = assignments
            .iter()
            .enumerate()
            .map(|(nth, (id, completed))| {
                let hour = if raced { 0 } else { nth };
                let at = |hour: usize| format!("2026-11-22T{hour:02}:00:00Z");
                json!({
                    "id": id, "job_id": 1, "storage_uri": "s3://bucket/results",
                    "created_at": at(hour), "expires_at": at(hour + 1),
                    "completed_at": completed.then(|| at(hour)),
                })
            })
            .collect();
        let job = json!({ "id": 1, "type": "TEST", "status": status, "assignments": assignments });
        serde_json::from_value(job).unwrap()
    }

    fn goes_on(details: &JobDetails, ours: i64) -> bool {
        let ours = details
            .assignments
            .iter()
            .find(|record| record.id == ours.into());
        may_go_on(details, ours.unwrap())
    }

    #[test]
    fn the_lowest_assignment_alone_goes_on_in_whatever_order_they_are_listed() {
        for order in [[9, 10, 11], [11, 9, 10], [10, 11, 9]] {
            let details = details("IN_PROGRESS", true, &order.map(|id| (id, false)));
            let winners: Vec<_> = order
                .into_iter()
                .filter(|id| goes_on(&details, *id))
                .collect();
            assert_eq!(winners, [9]);
        }
    }

    #[test]
    fn nobody_goes_on_once_somebody_posted_a_result() {
        for winner in [1, 3] {
            let details = details("IN_PROGRESS", true, &[(winner, true), (2, false)]);
            assert!(!goes_on(&details, 2), "after {winner}");
        }
    }

    #[test]
    fn a_job_that_was_put_back_is_run_by_the_next_who_claims_it() {
        assert!(goes_on(
            &details("IN_PROGRESS", false, &[(1, true), (2, false)]),
            2
        ));
    }

    #[test]
    fn a_claim_ends_with_its_job_or_with_a_result() {
        let why = |status, completed| {
            let details = details(status, true, &[(1, completed), (2, false)]);
            why_ended(&details, &1.into())
        };
        assert_eq!(why("IN_PROGRESS", false), None);
        for status in ["SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT"] {
            assert_eq!(why(status, false), Some(format!("the job is {status}")));
        }
        let reported = Some("its assignment has a result".to_owned());
        assert_eq!(why("IN_PROGRESS", true), reported);
    }

    #[test]
    fn a_job_that_has_ended_is_not_run() {
        for status in ["SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT"] {
            assert!(
                !goes_on(&details(status, true, &[(1, false)]), 1),
                "{status}"
            );
        }
    }
}
