//! The calls of a worker: poll, assign, report.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Client, number};
use crate::error::ApiError;
use crate::http::encode;
use crate::job::{AssignmentId, JobId, JobStatus, JobType};
use crate::raw::is_too_deep;
use crate::wire::{AssignmentRecord, JobRecord, read_jobs};

#[derive(Deserialize)]
struct PollAnswer {
    jobs: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
struct AssignAnswer {
    assignment: AssignmentRecord,
}

impl Client {
    /// The oldest jobs that wait for a worker, at most ten, of one type or of any. An entry that has no usable id is
    /// skipped with a warning.
    pub async fn poll(&self, job_type: Option<&JobType>) -> Result<Vec<JobRecord>, ApiError> {
        let query: Vec<_> = job_type
            .iter()
            .map(|job_type| ("jobType", job_type.to_string()))
            .collect();
        let answer = self.get("GET /jobs/poll", "/jobs/poll", &query).await?;
        let (jobs, skipped) = read_jobs(&answer.json::<PollAnswer>()?.jobs);
        self.warn_of(job_type, skipped);
        Ok(jobs.into_iter().map(|details| details.job).collect())
    }

    /// Warns of the entries that a poll skipped and the last one did not.
    fn warn_of(&self, job_type: Option<&JobType>, skipped: Vec<String>) {
        let skipped = BTreeSet::from_iter(skipped);
        let known = &self.inner.skipped;
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.entry(job_type.cloned()).or_default();
        for error in skipped.difference(known) {
            tracing::warn!(error, "an entry of the poll is not a job, skipped");
        }
        *known = skipped;
    }

    /// Assigns a job to a task. Several callers may each get an assignment of the same job (API contract, "Claiming is a
    /// race that the server does not decide"), so it does not follow that the task may run the job.
    pub async fn assign(
        &self,
        job: &JobId,
        task_arn: &str,
        cluster_arn: &str,
    ) -> Result<AssignmentRecord, ApiError> {
        let body = json!({
            "jobId": number(job.as_number(), job)?,
            "ecsTaskArn": task_arn,
            "ecsClusterArn": cluster_arn,
        });
        let answer = self
            .post("POST /jobs/assign", "/jobs/assign", Some(&body))
            .await?;
        let AssignAnswer { assignment } = answer.json()?;
        match assignment.job_id == *job {
            true => Ok(assignment),
            false => Err(answer.foreign("an assignment of another job")),
        }
    }

    /// Posts the result of an assignment.
    pub async fn post_result(
        &self,
        assignment: &AssignmentId,
        status: &JobStatus,
        payload: Option<&Value>,
    ) -> Result<(), ApiError> {
        let id = number(assignment.as_number(), assignment)?;
        let path = format!("/jobs/assignments/{id}/result");
        let body = result_body(status, payload);
        let answer = self
            .post(&format!("POST {path}"), &path, Some(&body))
            .await?;
        answer.empty()
    }

    /// Checks that [`post_result`](Self::post_result) could send a result and that the API would validate it: its size,
    /// NUL characters and nesting, and that it is not one of the values that the API accepts for every type.
    pub fn check_result(status: &JobStatus, payload: &Value) -> Result<(), ApiError> {
        if is_falsy(payload) {
            let value = payload.to_string();
            return Err(ApiError::Unchecked { value });
        }
        encode("POST result", &result_body(status, Some(payload)))?;
        match is_too_deep(&payload.to_string()) {
            true => Err(ApiError::TooDeep),
            false => Ok(()),
        }
    }
}

/// Whether a result is falsy in JavaScript: the API accepts such a result without validating it.
fn is_falsy(result: &Value) -> bool {
    match result {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_f64() == Some(0.0),
        Value::String(value) => value.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    }
}

fn result_body(status: &JobStatus, payload: Option<&Value>) -> Value {
    match payload {
        Some(payload) => json!({ "status": status, "resultPayload": payload }),
        None => json!({ "status": status }),
    }
}
