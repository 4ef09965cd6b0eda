//! Rows of the database, in the form that the API returns.

use std::time::Duration;

use rusqlite::{Connection, Row, params};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::database::JobStoreError;
use crate::jsonb::{self, Jsonb};

/// A time in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Time(pub(crate) i64);

impl Time {
    pub(crate) fn now() -> Self {
        Self(jiff::Timestamp::now().as_millisecond())
    }

    pub(crate) fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(milliseconds(duration)))
    }

    pub(crate) fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(milliseconds(duration)))
    }
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = jiff::Timestamp::from_millisecond(self.0).map_err(serde::ser::Error::custom)?;
        serializer.collect_str(&format_args!("{time:.3}"))
    }
}

/// A job's status. The order of the variants is upstream's order of jobs in lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Pending,
    InProgress,
    Succeeded,
    Failed,
    Cancelled,
    TimedOut,
}

impl Status {
    const ALL: [Self; 6] = [
        Self::Pending,
        Self::InProgress,
        Self::Succeeded,
        Self::Failed,
        Self::Cancelled,
        Self::TimedOut,
    ];

    pub(crate) const NAMES: [&'static str; 6] = [
        "PENDING",
        "IN_PROGRESS",
        "SUCCEEDED",
        "FAILED",
        "CANCELLED",
        "TIMED_OUT",
    ];

    pub(crate) fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .position(|known| *known == name)
            .map(|index| Self::ALL[index])
    }

    pub(super) fn column(self) -> u8 {
        self as u8
    }

    fn of_column(column: u8) -> rusqlite::Result<Self> {
        let known = Self::ALL.get(usize::from(column)).copied();
        known.ok_or_else(|| rusqlite::Error::IntegralValueOutOfRange(0, column.into()))
    }
}

impl Serialize for Status {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A job without its assignments.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Job {
    pub(crate) id: i64,
    pub(crate) created_at: Time,
    pub(crate) updated_at: Time,
    pub(crate) r#type: String,
    pub(crate) status: Status,
    pub(crate) hash: String,
    pub(crate) user_id: i64,
    pub(crate) input_payload: Jsonb,
}

/// A job with its assignments, as a read-back and a list return it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct JobDetails {
    #[serde(flatten)]
    pub(crate) job: Job,
    pub(crate) assignments: Vec<AssignmentDetails>,
}

/// One claim of one job.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Assignment {
    pub(crate) id: i64,
    pub(crate) created_at: Time,
    pub(crate) updated_at: Time,
    pub(crate) job_id: i64,
    pub(crate) ecs_task_arn: String,
    pub(crate) ecs_cluster_arn: String,
    pub(crate) expires_at: Time,
    pub(crate) storage_scheme: &'static str,
    pub(crate) storage_uri: String,
    pub(crate) heartbeat_at: Option<Time>,
    pub(crate) completed_at: Option<Time>,
}

/// An assignment with the result posted for it, if there is one.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct AssignmentDetails {
    #[serde(flatten)]
    pub(crate) assignment: Assignment,
    pub(crate) result: Option<JobResult>,
}

/// The result that was posted for an assignment.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct JobResult {
    pub(crate) id: i64,
    pub(crate) created_at: Time,
    pub(crate) job_id: i64,
    pub(crate) assignment_id: i64,
    pub(crate) result_payload: Jsonb,
    pub(crate) storage_scheme: &'static str,
    pub(crate) storage_uri: String,
    pub(crate) metadata: Value,
    pub(crate) cache_valid: bool,
}

pub(super) const JOB: &str =
    "id, created_at, updated_at, type, status, hash, user_id, input_payload";

pub(super) fn status(row: &Row<'_>) -> rusqlite::Result<Status> {
    Status::of_column(row.get("status")?)
}

pub(super) fn job(row: &Row<'_>) -> rusqlite::Result<Job> {
    Ok(Job {
        id: row.get("id")?,
        created_at: Time(row.get("created_at")?),
        updated_at: Time(row.get("updated_at")?),
        r#type: row.get("type")?,
        status: status(row)?,
        hash: row.get("hash")?,
        user_id: row.get("user_id")?,
        input_payload: document(row, "input_payload")?,
    })
}

pub(super) fn assignment(row: &Row<'_>) -> rusqlite::Result<Assignment> {
    Ok(Assignment {
        id: row.get("id")?,
        created_at: Time(row.get("created_at")?),
        updated_at: Time(row.get("updated_at")?),
        job_id: row.get("job_id")?,
        ecs_task_arn: row.get("ecs_task_arn")?,
        ecs_cluster_arn: row.get("ecs_cluster_arn")?,
        expires_at: Time(row.get("expires_at")?),
        storage_scheme: "S3",
        storage_uri: row.get("storage_uri")?,
        heartbeat_at: None,
        completed_at: row.get::<_, Option<i64>>("completed_at")?.map(Time),
    })
}

/// Adds a job's assignments. The real server promises no order, so the newest comes first: a client that assumes that the
/// first has the lowest id fails here.
pub(super) fn details(db: &Connection, job: Job) -> Result<JobDetails, JobStoreError> {
    let sql = "SELECT assignment.*, result.id AS result_id, result.created_at AS result_at, result_payload
               FROM assignment LEFT JOIN result ON assignment_id = assignment.id
               WHERE job_id = ? ORDER BY assignment.id DESC";
    let mut statement = db.prepare_cached(sql)?;
    let rows = statement.query_map(params![job.id], |row| {
        let assignment = assignment(row)?;
        let result = match row.get::<_, Option<i64>>("result_id")? {
            None => None,
            Some(id) => Some(JobResult {
                id,
                created_at: Time(row.get("result_at")?),
                job_id: assignment.job_id,
                assignment_id: assignment.id,
                result_payload: document(row, "result_payload")?,
                storage_scheme: "S3",
                storage_uri: assignment.storage_uri.clone(),
                metadata: Value::Null,
                cache_valid: true,
            }),
        };
        Ok(AssignmentDetails { assignment, result })
    })?;
    let assignments = rows.collect::<Result<_, _>>()?;
    Ok(JobDetails { job, assignments })
}

fn document(row: &Row<'_>, column: &str) -> rusqlite::Result<Jsonb> {
    let text: String = row.get(column)?;
    let damaged = |error: Box<dyn std::error::Error + Send + Sync>| {
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error)
    };
    let value = jsonb::parse(text.as_bytes()).map_err(|error| damaged(error.into()))?;
    Jsonb::new(value).map_err(|error| damaged(error.into()))
}
