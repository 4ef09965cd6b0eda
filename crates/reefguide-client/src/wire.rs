//! What the API says, as it says it. Fields it may add are ignored, fields it may drop have defaults, and what cannot be
//! read is left out as long as nothing depends on it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::job::{AssignmentId, JobId, JobStatus, JobType};
use crate::raw::{self, RawJob, RawResult};

/// A job.
///
/// What cannot be read of one job keeps no other from being read: what is not needed to run it, such as a date, is left
/// out, and of the rest [`unreadable`](Self::unreadable) says what is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawJob")]
#[non_exhaustive]
pub struct JobRecord {
    /// Which job.
    pub id: JobId,
    /// What it asks for; `?` if that cannot be read.
    #[serde(rename = "type")]
    pub job_type: JobType,
    /// Where it stands.
    pub status: JobStatus,
    /// When it was submitted.
    pub created_at: Option<Timestamp>,
    /// When it changed last.
    pub updated_at: Option<Timestamp>,
    /// The server's hash of type and payload: equal jobs share results.
    pub hash: Option<String>,
    /// Who submitted it.
    pub user_id: Option<i64>,
    /// What its submitter sent; `null` if that cannot be read.
    pub input_payload: Value,
    /// What cannot be read of it that a worker needs, and why. Such a job cannot be run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// A job with everybody who was given it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawJob")]
#[non_exhaustive]
pub struct JobDetails {
    /// The job.
    #[serde(flatten)]
    pub job: JobRecord,
    /// Its assignments, in no particular order.
    pub assignments: Vec<AssignmentRecord>,
}

/// A job given to a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AssignmentRecord {
    /// Which assignment.
    pub id: AssignmentId,
    /// Of which job.
    pub job_id: JobId,
    /// When it was made.
    #[serde(default, deserialize_with = "raw::date")]
    pub created_at: Option<Timestamp>,
    /// The task it was made for, as the worker called itself.
    #[serde(default)]
    pub ecs_task_arn: String,
    /// That task's cluster.
    #[serde(default)]
    pub ecs_cluster_arn: String,
    /// When the lease ends.
    #[serde(default, deserialize_with = "raw::date")]
    pub expires_at: Option<Timestamp>,
    /// Where the outputs go.
    pub storage_uri: String,
    /// When a result was posted. One that cannot be read is an error: whether there is a result decides who runs the job.
    #[serde(default)]
    pub completed_at: Option<Timestamp>,
    /// That result.
    #[serde(default)]
    pub result: Option<ResultRecord>,
}

/// The result of an assignment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "RawResult")]
#[non_exhaustive]
pub struct ResultRecord {
    /// Which result.
    pub id: i64,
    /// When it was posted.
    pub created_at: Option<Timestamp>,
    /// What the worker posted; `null` if that cannot be read.
    pub result_payload: Value,
    /// Where the outputs are.
    pub storage_uri: String,
    /// Why the payload cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// The answer to a submission.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CreatedJob {
    /// The job that will answer, or has answered, the submission.
    pub job_id: JobId,
    /// Whether that job existed already, for an equal payload.
    pub cached: bool,
    /// Which submission.
    pub request_id: i64,
}

/// A page of jobs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct JobList {
    /// At most 50 jobs.
    pub jobs: Vec<JobDetails>,
    /// How many there are in all.
    pub total: u64,
    /// What else is in the list, which is no job that could be named, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
}

/// A job's outputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Download {
    /// Presigned URLs by relative path. They are secrets: whoever has one may read the file.
    pub files: BTreeMap<String, String>,
}

/// The account behind a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Profile {
    /// Which account.
    pub id: i64,
    /// Its email address.
    pub email: String,
    /// Its roles, such as `ADMIN`.
    #[serde(default)]
    pub roles: Vec<String>,
}

/// What `timeout-jobs` did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TimedOutJobs {
    /// How many jobs were set to `TIMED_OUT`.
    pub total_timed_out: u64,
    /// Which.
    #[serde(default)]
    pub timed_out_job_ids: Vec<JobId>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_the_api_adds_and_statuses_it_invents_are_tolerated() {
        let record: JobRecord = serde_json::from_value(json!({
            "id": 1, "type": "NEW_TYPE", "status": "PAUSED", "priority": 9, "input_payload": {}
        }))
        .unwrap();
        assert_eq!(record.status, JobStatus::Other("PAUSED".into()));
        assert_eq!(record.job_type.as_str(), "NEW_TYPE");
    }
}
