//! Submitting, polling, listing, cancelling and timing out jobs.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use super::database::{JobStore, JobStoreError};
use super::rows::{self, JOB, Job, JobDetails, Status, Time};
use crate::jsonb::Jsonb;

/// The result of a submission.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Created {
    pub(crate) job_id: i64,
    pub(crate) cached: bool,
    request_id: i64,
}

/// A job without its payload, which may be large.
#[derive(Debug, Serialize)]
pub(crate) struct JobSummary {
    id: i64,
    r#type: String,
    status: Status,
    created_at: Time,
    updated_at: Time,
}

/// The age at which a job is timed out.
pub(crate) const OLD: Duration = Duration::from_secs(2 * 60 * 60);

impl JobStore {
    /// Adds a job, unless an equal one has succeeded, is in progress or is pending (preferred in that order, the newest
    /// first).
    pub(crate) fn create(
        &self,
        user: i64,
        job_type: &str,
        payload: &Jsonb,
    ) -> Result<Created, JobStoreError> {
        let hash = payload.job_hash(job_type);
        let document = serde_json::to_string(payload)?;
        self.write(|db| {
            let sql = "SELECT id FROM job WHERE hash = ? AND status <= ? ORDER BY status DESC, id DESC LIMIT 1";
            let known = db.query_row(sql, params![hash, Status::Succeeded.column()], |row| row.get(0)).optional()?;
            let cached = known.is_some();
            let job_id = match known {
                Some(id) => id,
                None => {
                    let sql = "INSERT INTO job (created_at, updated_at, type, status, hash, user_id, input_payload)
                               VALUES (?1, ?1, ?2, ?3, ?4, ?5, ?6)";
                    let now = Time::now().0;
                    db.execute(sql, params![now, job_type, Status::Pending.column(), hash, user, document])?;
                    db.last_insert_rowid()
                }
            };
            let sql = "INSERT INTO request (job_id, user_id, cached) VALUES (?, ?, ?)";
            db.execute(sql, params![job_id, user, cached])?;
            Ok(Created { job_id, cached, request_id: db.last_insert_rowid() })
        })
    }

    /// The ten oldest jobs that are offered: PENDING jobs without an open or unexpired assignment.
    pub(crate) fn poll(&self, job_type: Option<&str>) -> Result<Vec<Job>, JobStoreError> {
        self.read(|db| {
            let sql = format!(
                "SELECT {JOB} FROM job WHERE status = ?1 AND (?2 IS NULL OR type = ?2) AND NOT EXISTS (
                     SELECT 1 FROM assignment WHERE job_id = job.id AND (completed_at IS NULL OR expires_at > ?3))
                 ORDER BY id LIMIT 10"
            );
            let mut statement = db.prepare_cached(&sql)?;
            let values = params![Status::Pending.column(), job_type, Time::now().0];
            Ok(statement.query_map(values, rows::job)?.collect::<Result<_, _>>()?)
        })
    }

    pub(crate) fn job(&self, id: i64) -> Result<Option<Job>, JobStoreError> {
        self.read(|db| {
            let sql = format!("SELECT {JOB} FROM job WHERE id = ?");
            Ok(db.query_row(&sql, params![id], rows::job).optional()?)
        })
    }

    pub(crate) fn details(&self, id: i64) -> Result<Option<JobDetails>, JobStoreError> {
        let job = self.job(id)?;
        job.map(|job| self.read(|db| rows::details(db, job)))
            .transpose()
    }

    /// At most `limit` jobs by status, the most recently updated first, and the total number.
    pub(crate) fn list(
        &self,
        user: Option<i64>,
        status: Option<Status>,
        limit: i64,
    ) -> Result<(Vec<JobDetails>, i64), JobStoreError> {
        let matching =
            "FROM job WHERE (?1 IS NULL OR user_id = ?1) AND (?2 IS NULL OR status = ?2)";
        let status = status.map(Status::column);
        self.read(|db| {
            let total = db.query_row(
                &format!("SELECT count(*) {matching}"),
                params![user, status],
                |row| row.get(0),
            )?;
            let sql = format!("SELECT {JOB} {matching} ORDER BY status, updated_at DESC LIMIT ?3");
            let mut statement = db.prepare_cached(&sql)?;
            let jobs = statement.query_map(params![user, status, limit], rows::job)?;
            let jobs = jobs
                .map(|job| rows::details(db, job?))
                .collect::<Result<_, _>>()?;
            Ok((jobs, total))
        })
    }

    /// At most `limit` jobs of `status` with ids below `before`, the newest first.
    pub(crate) fn newest(
        &self,
        status: Option<Status>,
        before: Option<i64>,
        limit: i64,
    ) -> Result<Vec<JobSummary>, JobStoreError> {
        self.read(|db| {
            let sql = "SELECT id, type, status, created_at, updated_at FROM job
                       WHERE (?1 IS NULL OR status = ?1) AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3";
            let mut statement = db.prepare_cached(sql)?;
            let values = params![status.map(Status::column), before, limit];
            let jobs = statement.query_map(values, |row| {
                Ok(JobSummary {
                    id: row.get(0)?,
                    r#type: row.get(1)?,
                    status: rows::status(row)?,
                    created_at: Time(row.get(3)?),
                    updated_at: Time(row.get(4)?),
                })
            })?;
            Ok(jobs.collect::<Result<_, _>>()?)
        })
    }

    /// The number of jobs for each status that has any.
    pub(crate) fn counts(&self) -> Result<BTreeMap<&'static str, i64>, JobStoreError> {
        self.read(|db| {
            let sql = "SELECT status, count(*) FROM job GROUP BY status";
            let mut statement = db.prepare_cached(sql)?;
            let counts =
                statement.query_map([], |row| Ok((rows::status(row)?.name(), row.get(1)?)))?;
            Ok(counts.collect::<Result<_, _>>()?)
        })
    }

    /// Sets a job's status unconditionally and returns the job.
    pub(crate) fn set_status(&self, id: i64, status: Status) -> Result<Option<Job>, JobStoreError> {
        self.write(|db| {
            let sql =
                format!("UPDATE job SET status = ?, updated_at = ? WHERE id = ? RETURNING {JOB}");
            let values = params![status.column(), Time::now().0, id];
            Ok(db.query_row(&sql, values, rows::job).optional()?)
        })
    }

    /// Sets PENDING and IN_PROGRESS jobs created before `created_before` to TIMED_OUT. Returns their ids and types.
    pub(crate) fn time_out(
        &self,
        created_before: Time,
        of_types: Option<&[String]>,
    ) -> Result<Vec<(i64, String)>, JobStoreError> {
        self.write(|db| {
            let sql = "SELECT id, type FROM job WHERE status <= ? AND created_at < ? ORDER BY id";
            let mut statement = db.prepare_cached(sql)?;
            let values = params![Status::InProgress.column(), created_before.0];
            let old = statement.query_map(values, |row| Ok((row.get(0)?, row.get(1)?)))?;
            let mut old: Vec<(i64, String)> = old.collect::<Result<_, _>>()?;
            old.retain(|(_, job_type)| of_types.is_none_or(|types| types.contains(job_type)));
            let mut update =
                db.prepare_cached("UPDATE job SET status = ?, updated_at = ? WHERE id = ?")?;
            for (id, _) in &old {
                update.execute(params![Status::TimedOut.column(), Time::now().0, id])?;
            }
            Ok(old)
        })
    }
}
