//! Reading jobs one by one, each as far as it goes.
//!
//! A list has the jobs of many submitters. One that cannot be read, as its payload is nested too deeply or has a number
//! that no machine holds, must not hide the others.

use std::fmt;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::error::DEPTH_LIMIT;
use crate::job::{JobId, JobStatus, JobType};
use crate::wire::{AssignmentRecord, JobDetails, JobRecord, ResultRecord};

/// A job, of which nothing is read yet.
#[derive(Deserialize)]
#[serde(expecting = "a job")]
pub(super) struct RawJob {
    id: Option<Box<RawValue>>,
    #[serde(rename = "type")]
    job_type: Option<Box<RawValue>>,
    status: Option<Box<RawValue>>,
    created_at: Option<Box<RawValue>>,
    updated_at: Option<Box<RawValue>>,
    hash: Option<Box<RawValue>>,
    user_id: Option<Box<RawValue>>,
    input_payload: Option<Box<RawValue>>,
    assignments: Option<Vec<Box<RawValue>>>,
}

/// A result, whose payload is not read yet.
#[derive(Deserialize)]
pub(super) struct RawResult {
    id: i64,
    #[serde(default, deserialize_with = "date")]
    created_at: Option<Timestamp>,
    result_payload: Option<Box<RawValue>>,
    #[serde(default)]
    storage_uri: String,
}

/// Why something is no job.
#[derive(Debug)]
pub(super) struct NoJob(String);

impl fmt::Display for NoJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<RawJob> for JobRecord {
    type Error = NoJob;

    fn try_from(raw: RawJob) -> Result<Self, NoJob> {
        let id = raw.id.as_deref();
        let id = id.ok_or_else(|| NoJob("a job without an id".into()))?;
        let number = read::<i32>(Some(id)).filter(|number| *number > 0);
        let number = number.ok_or_else(|| NoJob(format!("a job whose id is `{}`", brief(id))))?;
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
            .unwrap_or_else(|| JobStatus::Other(status.map_or_else(|| "?".into(), brief)));
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
    type Error = NoJob;

    fn try_from(mut raw: RawJob) -> Result<Self, NoJob> {
        let assignments = raw.assignments.take().unwrap_or_default();
        let job = JobRecord::try_from(raw)?;
        let read = |assignment: &RawValue| {
            serde_json::from_str::<AssignmentRecord>(assignment.get())
                .map_err(|error| NoJob(format!("an assignment of job {}: {error}", job.id)))
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

/// The jobs of a list, and what else is in it. A job of which more cannot be read has no assignments.
pub(super) fn each(list: &[Box<RawValue>]) -> (Vec<JobDetails>, Vec<String>) {
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

/// A date, if it is one: nothing depends on it.
pub(super) fn date<'de, D: Deserializer<'de>>(date: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(read(Option::<Box<RawValue>>::deserialize(date)?.as_deref()))
}

fn read<T: DeserializeOwned>(raw: Option<&RawValue>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

/// A payload, or `null` and why it cannot be read.
fn payload(raw: Option<&RawValue>) -> (Value, Option<String>) {
    let Some(raw) = raw else {
        return (Value::Null, None);
    };
    if is_too_deep(raw.get()) {
        let why = format!("is nested deeper than {DEPTH_LIMIT} levels");
        return (Value::Null, Some(why));
    }
    match serde_json::from_str(raw.get()) {
        Ok(payload) => (payload, None),
        Err(error) => (Value::Null, Some(format!("cannot be read: {error}"))),
    }
}

/// Whether JSON is nested deeper than is read.
pub(super) fn is_too_deep(json: &str) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in json.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => depth += 1,
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_LIMIT {
            return true;
        }
    }
    false
}

/// The beginning of a value, for a message.
fn brief(raw: &RawValue) -> String {
    raw.get().chars().take(40).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> String {
        format!("{}{}", "[".repeat(levels), "]".repeat(levels))
    }

    fn list(entries: &[&str]) -> (Vec<JobDetails>, Vec<String>) {
        let list: Vec<_> = entries
            .iter()
            .map(|entry| RawValue::from_string((*entry).to_owned()).unwrap())
            .collect();
        each(&list)
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
    fn what_is_quoted_is_not_nested() {
        let quoted = format!(r#"["\"{}"]"#, "[".repeat(DEPTH_LIMIT + 1));
        assert!(!is_too_deep(&quoted));
        assert!(!is_too_deep(&nested(DEPTH_LIMIT)));
        assert!(is_too_deep(&nested(DEPTH_LIMIT + 1)));
    }
}
