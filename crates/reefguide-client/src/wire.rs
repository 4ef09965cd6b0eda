//! The API's data types. Unknown fields are ignored, fields that the API may drop have defaults, and a field that cannot be
//! read is left out unless a decision depends on it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::job::{AssignmentId, JobId, JobStatus, JobType};
use crate::raw::{self, NotAJob, RawJob, RawResult, excerpt, payload, read};

/// A job.
///
/// A job with fields that cannot be read does not make a list unreadable: fields that are not needed to run the job, such
/// as dates, are left out, and [`unreadable`](Self::unreadable) says what is wrong with the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawJob")]
#[non_exhaustive]
pub struct JobRecord {
    /// The job's id.
    pub id: JobId,
    /// The type; `?` if it cannot be read.
    #[serde(rename = "type")]
    pub job_type: JobType,
    /// The status.
    pub status: JobStatus,
    /// When it was submitted.
    pub created_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Option<Timestamp>,
    /// The server's hash of type and payload: equal jobs share results.
    pub hash: Option<String>,
    /// Who submitted it.
    pub user_id: Option<i64>,
    /// What the submitter sent; `null` if it cannot be read.
    pub input_payload: Value,
    /// Which fields that a worker needs cannot be read, and why. Such a job cannot be run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// A job with its assignments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawJob")]
#[non_exhaustive]
pub struct JobDetails {
    /// The job.
    #[serde(flatten)]
    pub job: JobRecord,
    /// The assignments, in no particular order.
    pub assignments: Vec<AssignmentRecord>,
}

/// An assignment of a job to a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AssignmentRecord {
    /// The assignment's id.
    pub id: AssignmentId,
    /// The job.
    pub job_id: JobId,
    /// When it was made.
    #[serde(default, deserialize_with = "raw::date")]
    pub created_at: Option<Timestamp>,
    /// The task that it was made for, as the worker identified itself.
    #[serde(default)]
    pub ecs_task_arn: String,
    /// That task's cluster.
    #[serde(default)]
    pub ecs_cluster_arn: String,
    /// When the lease ends.
    #[serde(default, deserialize_with = "raw::date")]
    pub expires_at: Option<Timestamp>,
    /// The storage URI for the outputs.
    pub storage_uri: String,
    /// When a result was posted. A date that cannot be read is an error here: whether there is a result decides which
    /// worker runs the job.
    #[serde(default)]
    pub completed_at: Option<Timestamp>,
    /// The result.
    #[serde(default)]
    pub result: Option<ResultRecord>,
}

/// The result of an assignment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(from = "RawResult")]
#[non_exhaustive]
pub struct ResultRecord {
    /// The result's id.
    pub id: i64,
    /// When it was posted.
    pub created_at: Option<Timestamp>,
    /// What the worker posted; `null` if it cannot be read.
    pub result_payload: Value,
    /// The storage URI of the outputs.
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
    /// The job that the submission led to.
    pub job_id: JobId,
    /// Whether that job existed already, with an equal payload.
    pub cached: bool,
    /// The submission's id.
    pub request_id: i64,
}

/// A page of jobs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct JobList {
    /// At most 50 jobs.
    pub jobs: Vec<JobDetails>,
    /// How many jobs there are in total.
    pub total: u64,
    /// Why other entries of the list are not jobs: they have no usable id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
}

/// A job's outputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Download {
    /// Presigned URLs by relative path. They are secrets: anyone who has a URL can read its file.
    pub files: BTreeMap<String, String>,
}

/// The account behind a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Profile {
    /// The account's id.
    pub id: i64,
    /// Its email address.
    pub email: String,
    /// Its roles, such as `ADMIN`.
    #[serde(default)]
    pub roles: Vec<String>,
}

/// The jobs that a call of `timeout-jobs` timed out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TimedOutJobs {
    /// How many jobs were set to `TIMED_OUT`.
    pub total_timed_out: u64,
    /// Their ids.
    #[serde(default)]
    pub timed_out_job_ids: Vec<JobId>,
}

impl TryFrom<RawJob> for JobRecord {
    type Error = NotAJob;

    fn try_from(raw: RawJob) -> Result<Self, NotAJob> {
        let id = raw.id.as_deref();
        let id = id.ok_or_else(|| NotAJob("a job without an id".into()))?;
        let number = read::<i32>(Some(id)).filter(|number| *number > 0);
        let number =
            number.ok_or_else(|| NotAJob(format!("a job whose id is `{}`", excerpt(id))))?;
        let mut unreadable = Vec::new();
        let job_type = read::<String>(raw.job_type.as_deref());
        if job_type.is_none() {
            unreadable.push("its `type` is missing or not a string".to_owned());
        }
        let (input_payload, why) = payload(raw.input_payload.as_deref());
        unreadable.extend(why.map(|why| format!("its `input_payload` {why}")));
        // With an unknown status a job counts as one that has not ended.
        let status = raw.status.as_deref();
        let status = read(status)
            .unwrap_or_else(|| JobStatus::Other(status.map_or_else(|| "?".into(), excerpt)));
        Ok(Self {
            id: JobId::from(i64::from(number)),
            job_type: job_type.map_or_else(|| JobType::from("?"), JobType::from),
            status,
            created_at: read(raw.created_at.as_deref()),
            updated_at: read(raw.updated_at.as_deref()),
            hash: read(raw.hash.as_deref()),
            user_id: read(raw.user_id.as_deref()),
            input_payload,
            unreadable: (!unreadable.is_empty()).then(|| unreadable.join("; ")),
        })
    }
}

impl TryFrom<RawJob> for JobDetails {
    type Error = NotAJob;

    fn try_from(mut raw: RawJob) -> Result<Self, NotAJob> {
        let assignments = raw.assignments.take().unwrap_or_default();
        let job = JobRecord::try_from(raw)?;
        let read = |assignment: &RawValue| {
            serde_json::from_str::<AssignmentRecord>(assignment.get())
                .map_err(|error| NotAJob(format!("an assignment of job {}: {error}", job.id)))
        };
        let assignments = assignments.iter().map(|assignment| read(assignment));
        Ok(Self {
            assignments: assignments.collect::<Result<_, _>>()?,
            job,
        })
    }
}

impl From<RawResult> for ResultRecord {
    fn from(raw: RawResult) -> Self {
        let (result_payload, unreadable) = payload(raw.result_payload.as_deref());
        Self {
            id: raw.id,
            created_at: raw.created_at,
            result_payload,
            storage_uri: raw.storage_uri,
            unreadable,
        }
    }
}

/// The jobs of a list, and why other entries are not jobs. A job whose assignments cannot be read is returned without
/// them.
pub(super) fn read_jobs(list: &[Box<RawValue>]) -> (Vec<JobDetails>, Vec<String>) {
    let (mut jobs, mut skipped) = (Vec::new(), Vec::new());
    for entry in list {
        let whole = serde_json::from_str::<JobDetails>(entry.get());
        let read = whole.or_else(|error| {
            let mut job = serde_json::from_str::<JobRecord>(entry.get())?;
            let unreadable = job.unreadable.into_iter().chain([error.to_string()]);
            job.unreadable = Some(unreadable.collect::<Vec<_>>().join("; "));
            let assignments = Vec::new();
            Ok::<_, serde_json::Error>(JobDetails { job, assignments })
        });
        match read {
            Ok(job) => jobs.push(job),
            Err(error) => skipped.push(error.to_string()),
        }
    }
    (jobs, skipped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::DEPTH_LIMIT;
    use serde_json::json;

    fn nested(levels: usize) -> String {
        format!("{}{}", "[".repeat(levels), "]".repeat(levels))
    }

    fn list(entries: &[&str]) -> (Vec<JobDetails>, Vec<String>) {
        let list: Vec<_> = entries
            .iter()
            .map(|entry| RawValue::from_string((*entry).to_owned()).unwrap())
            .collect();
        read_jobs(&list)
    }

    #[test]
    fn each_entry_of_a_list_is_read_by_itself_and_as_far_as_it_goes() {
        let deep = |levels| {
            let nested = nested(levels);
            format!(r#"{{"id":1,"type":"T","status":"PENDING","input_payload":{nested}}}"#)
        };
        let (at_the_limit, beyond) = (deep(DEPTH_LIMIT), deep(DEPTH_LIMIT + 1));
        let far_beyond = deep(50_000);
        let entries = [
            r#"{"id":1,"type":"T","status":"PENDING","input_payload":{"a":"]]]"}}"#,
            at_the_limit.as_str(),
            beyond.as_str(),
            far_beyond.as_str(),
            r#"{"id":1,"type":"T","status":"PENDING","input_payload":1e999}"#,
            r#"{"id":1,"type":"T","status":"PENDING","input_payload":"\ud800"}"#,
            r#"{"id":1,"type":"T","status":"PENDING","created_at":"yesterday"}"#,
            r#"{"id":1,"type":"T","status":"PENDING","created_at":5,"updated_at":{},"hash":7,"user_id":"x"}"#,
            r#"{"id":1,"type":"T","status":5}"#,
            r#"{"id":1,"type":"T"}"#,
            r#"{"id":1,"type":7,"status":"PENDING"}"#,
            r#"{"id":1,"status":"PENDING"}"#,
            r#"{"id":1,"type":"T","status":"PENDING","assignments":[{"id":2,"job_id":1,"storage_uri":"s3://b/k","created_at":"no","expires_at":"date"}]}"#,
            r#"{"id":1,"type":"T","status":"PENDING","assignments":[{"id":2,"job_id":1,"storage_uri":"s3://b/k","completed_at":"once"}]}"#,
            r#"{"id":1,"type":"T","status":"PENDING","assignments":[{"job_id":1}]}"#,
            r#"{"id":"7","type":"T","status":"PENDING"}"#,
            r#"{"id":0,"type":"T","status":"PENDING"}"#,
            r#"{"id":2147483648,"type":"T","status":"PENDING"}"#,
            r#"{"id":null,"type":"T","status":"PENDING"}"#,
            r#"{"type":"T","status":"PENDING"}"#,
            "{}",
            "[]",
            "7",
            "null",
        ];
        let mut shown = String::new();
        for entry in entries {
            let (jobs, skipped) = list(&[entry]);
            let read = match jobs.first() {
                Some(JobDetails { job, assignments }) => format!(
                    "{} {} {}, {} assignments, {:?}",
                    job.id,
                    job.job_type,
                    job.status,
                    assignments.len(),
                    job.unreadable
                ),
                None => format!("skipped: {}", skipped.join("; ")),
            };
            let entry: String = entry.chars().take(100).collect();
            shown += &format!("{entry}\n  {read}\n");
        }
        insta::assert_snapshot!(shown);
        let (jobs, skipped) = list(&entries);
        assert_eq!(jobs.len() + skipped.len(), entries.len());
    }

    #[test]
    fn a_result_that_is_nested_too_deeply_hides_neither_its_job_nor_its_assignment() {
        let result = |levels| {
            let nested = nested(levels);
            let entry = format!(
                r#"{{"id":1,"type":"T","status":"SUCCEEDED","assignments":[{{"id":2,"job_id":1,"storage_uri":"s3://b/k",
                "completed_at":"2026-11-22T21:25:33.080Z","result":{{"id":3,"result_payload":{nested}}}}}]}}"#
            );
            let (jobs, _) = list(&[&entry]);
            let assignment = jobs[0].assignments[0].clone();
            assert!(assignment.completed_at.is_some());
            assignment.result.unwrap()
        };
        assert_eq!(result(DEPTH_LIMIT).unreadable, None);
        let deep = result(200);
        assert_eq!(deep.result_payload, Value::Null);
        insta::assert_snapshot!(deep.unreadable.unwrap(), @"is nested deeper than 100 levels");
    }

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
