//! The calls of a submitter: create, look up, list, cancel, download.

use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Client, number};
use crate::answer::Answer;
use crate::error::ApiError;
use crate::http::encode;
use crate::job::{JobId, JobStatus, JobType};
use crate::wire::{CreatedJob, Download, JobDetails, JobList, JobRecord, read_jobs};

/// Which jobs to list; all of them by default.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct JobFilter {
    /// Only jobs with this status.
    pub status: Option<JobStatus>,
    /// Only jobs of this user.
    pub user_id: Option<i64>,
}

impl JobFilter {
    /// Only jobs with this status.
    #[must_use]
    pub fn status(mut self, status: JobStatus) -> Self {
        self.status = Some(status);
        self
    }

    /// Only jobs of this user.
    #[must_use]
    pub fn user(mut self, user_id: i64) -> Self {
        self.user_id = Some(user_id);
        self
    }

    fn query(&self) -> Vec<(&'static str, String)> {
        let status = self.status.as_ref();
        let status = status.map(|status| ("status", status.to_string()));
        let user = self.user_id.map(|user| ("userId", user.to_string()));
        status.into_iter().chain(user).collect()
    }
}

/// The API wraps a job in an object.
#[derive(Deserialize)]
struct JobAnswer<T> {
    job: T,
}

#[derive(Deserialize)]
struct ListAnswer {
    jobs: Vec<Box<RawValue>>,
    total: u64,
}

/// A job of which only the id is read.
#[derive(Deserialize)]
struct OnlyId {
    id: JobId,
}

/// A job that has a list of assignments, even if it is empty.
#[derive(Deserialize)]
struct WithAssignments {
    #[serde(rename = "assignments")]
    _assignments: Vec<IgnoredAny>,
}

impl Client {
    /// Submits a job. For an equal payload the API may answer with a job that exists already ([`CreatedJob::cached`]).
    pub async fn create_job(
        &self,
        job_type: &JobType,
        payload: &Value,
    ) -> Result<CreatedJob, ApiError> {
        let body = job_body(job_type, payload);
        self.post("POST /jobs", "/jobs", Some(&body)).await?.json()
    }

    /// Checks that [`create_job`](Self::create_job) could send this payload: its size, and NUL characters. Nothing is
    /// sent, so the payload is not validated against its type's schema.
    ///
    /// # Errors
    /// [`ApiError::TooLarge`] and [`ApiError::Nul`].
    pub fn check_job(job_type: &JobType, payload: &Value) -> Result<(), ApiError> {
        encode("POST /jobs", &job_body(job_type, payload)).map(drop)
    }

    /// One job with its assignments.
    pub async fn job(&self, job: &JobId) -> Result<JobDetails, ApiError> {
        let path = format!("/jobs/{}", number(job.as_number(), job)?);
        let answer = self.get(&format!("GET {path}"), &path, &[]).await?;
        let details: JobDetails = answer.json::<JobAnswer<_>>()?.job;
        // The assignments decide which worker runs the job, so an answer without them proves nothing.
        answer.json::<JobAnswer<WithAssignments>>()?;
        expect_job(&answer, &details.job, job)?;
        Ok(details)
    }

    /// Jobs, at most 50: an administrator sees all jobs, other accounts only their own.
    pub async fn jobs(&self, filter: &JobFilter) -> Result<JobList, ApiError> {
        self.list("GET /jobs", "/jobs", filter).await
    }

    /// The account's own jobs, at most 50.
    pub async fn my_jobs(&self, status: Option<JobStatus>) -> Result<JobList, ApiError> {
        let filter = JobFilter {
            status,
            user_id: None,
        };
        self.list("GET /jobs/mine", "/jobs/mine", &filter).await
    }

    async fn list(&self, call: &str, path: &str, filter: &JobFilter) -> Result<JobList, ApiError> {
        let answer = self.get(call, path, &filter.query()).await?;
        let ListAnswer { jobs, total } = answer.json()?;
        let (jobs, skipped) = read_jobs(&jobs);
        Ok(JobList {
            jobs,
            total,
            skipped,
        })
    }

    /// Withdraws a job that no worker has claimed.
    pub async fn cancel(&self, job: &JobId) -> Result<JobRecord, ApiError> {
        let path = format!("/jobs/{}/cancel", number(job.as_number(), job)?);
        let answer = self.post(&format!("POST {path}"), &path, None).await?;
        let record: JobRecord = answer.json::<JobAnswer<_>>()?.job;
        expect_job(&answer, &record, job)?;
        Ok(record)
    }

    /// Presigned URLs of those outputs of a job whose paths begin with `prefix`, valid for `expiry`.
    pub async fn download(
        &self,
        job: &JobId,
        expiry: Option<Duration>,
        prefix: Option<&str>,
    ) -> Result<Download, ApiError> {
        let path = format!("/jobs/{}/download", number(job.as_number(), job)?);
        let mut query = Vec::new();
        query.extend(expiry.map(|expiry| ("expirySeconds", expiry.as_secs().to_string())));
        query.extend(prefix.map(|prefix| ("filterPrefix", prefix.to_owned())));
        let answer = self.get(&format!("GET {path}"), &path, &query).await?;
        let JobAnswer { job: OnlyId { id } } = answer.json()?;
        match id == *job {
            true => answer.json(),
            false => Err(answer.foreign("the files of another job")),
        }
    }
}

/// Makes sure that the answer is about the job that was asked for. A cached answer may be about another one.
fn expect_job(answer: &Answer, record: &JobRecord, job: &JobId) -> Result<(), ApiError> {
    match record.id == *job {
        true => Ok(()),
        false => Err(answer.foreign("another job")),
    }
}

fn job_body(job_type: &JobType, payload: &Value) -> Value {
    json!({ "type": job_type, "inputPayload": payload })
}
