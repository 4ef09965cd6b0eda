//! Assignments and their results.

use rusqlite::{OptionalExtension, params};

use super::database::{JobStore, JobStoreError};
use super::rows::{self, Assignment, Status, Time};
use crate::jsonb::Jsonb;

/// An assignment to be written.
#[derive(Debug)]
pub(crate) struct NewAssignment<'a> {
    pub(crate) job_id: i64,
    pub(crate) task_arn: &'a str,
    pub(crate) cluster_arn: &'a str,
    pub(crate) expires_at: Time,
    pub(crate) storage_uri: &'a str,
}

/// A result to be written.
#[derive(Debug)]
pub(crate) struct NewResult<'a> {
    pub(crate) assignment: &'a Assignment,
    pub(crate) status: Status,
    pub(crate) payload: &'a Jsonb,
}

impl JobStore {
    /// Writes an assignment and sets its job to IN_PROGRESS. It does not check that the job is free: like the real server,
    /// the caller checks that first, in a separate transaction.
    pub(crate) fn assign(&self, new: &NewAssignment<'_>) -> Result<Assignment, JobStoreError> {
        self.write(|db| {
            let now = Time::now().0;
            let sql = "INSERT INTO assignment
                           (created_at, updated_at, job_id, ecs_task_arn, ecs_cluster_arn, expires_at, storage_uri)
                       VALUES (?1, ?1, ?2, ?3, ?4, ?5, ?6) RETURNING *";
            let values =
                params![now, new.job_id, new.task_arn, new.cluster_arn, new.expires_at.0, new.storage_uri];
            let assignment = db.query_row(sql, values, rows::assignment)?;
            let sql = "UPDATE job SET status = ?, updated_at = ? WHERE id = ?";
            db.execute(sql, params![Status::InProgress.column(), now, new.job_id])?;
            Ok(assignment)
        })
    }

    /// An assignment and its job's type.
    pub(crate) fn assignment(
        &self,
        id: i64,
    ) -> Result<Option<(Assignment, String)>, JobStoreError> {
        self.read(|db| {
            let sql = "SELECT assignment.*, job.type FROM assignment JOIN job ON job.id = job_id
                       WHERE assignment.id = ?";
            let row = db.query_row(sql, params![id], |row| {
                Ok((rows::assignment(row)?, row.get("type")?))
            });
            Ok(row.optional()?)
        })
    }

    /// Writes a result, completes its assignment and sets the job's status. A second result for an assignment fails.
    pub(crate) fn record_result(&self, new: &NewResult<'_>) -> Result<(), JobStoreError> {
        let document = serde_json::to_string(new.payload)?;
        self.write(|db| {
            let now = Time::now().0;
            let sql =
                "INSERT INTO result (created_at, assignment_id, result_payload) VALUES (?, ?, ?)";
            db.execute(sql, params![now, new.assignment.id, document])?;
            let sql = "UPDATE assignment SET completed_at = ?1, updated_at = ?1 WHERE id = ?2";
            db.execute(sql, params![now, new.assignment.id])?;
            let sql = "UPDATE job SET status = ?, updated_at = ? WHERE id = ?";
            db.execute(
                sql,
                params![new.status.column(), now, new.assignment.job_id],
            )?;
            Ok(())
        })
    }
}
