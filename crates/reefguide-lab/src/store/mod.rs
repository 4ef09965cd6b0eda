//! The lab's database: jobs, assignments, results and refresh tokens in SQLite.

mod claims;
mod jobs;
mod record;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use tokio::sync::watch;

pub(crate) use claims::{NewAssignment, NewResult};
pub(crate) use jobs::{Created, JobSummary, OLD};
pub(crate) use record::{Assignment, Job, JobDetails, Status, Time};

/// The database failed, or a row it holds cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// SQLite refused.
    #[error("the job database failed")]
    Sqlite(#[from] rusqlite::Error),
    /// A stored document is no JSON.
    #[error("a document in the job database is damaged")]
    Json(#[from] serde_json::Error),
}

const TABLES: &str = "
    PRAGMA foreign_keys = ON;
    CREATE TABLE IF NOT EXISTS job (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        type TEXT NOT NULL,
        status INTEGER NOT NULL,
        hash TEXT NOT NULL,
        user_id INTEGER NOT NULL,
        input_payload TEXT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS job_by_status ON job (status, type, id);
    CREATE INDEX IF NOT EXISTS job_by_hash ON job (hash);
    CREATE TABLE IF NOT EXISTS request (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        job_id INTEGER NOT NULL REFERENCES job,
        user_id INTEGER NOT NULL,
        cached INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS assignment (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        job_id INTEGER NOT NULL REFERENCES job,
        ecs_task_arn TEXT NOT NULL,
        ecs_cluster_arn TEXT NOT NULL,
        expires_at INTEGER NOT NULL,
        storage_uri TEXT NOT NULL,
        completed_at INTEGER
    );
    CREATE INDEX IF NOT EXISTS assignment_by_job ON assignment (job_id);
    CREATE TABLE IF NOT EXISTS result (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        created_at INTEGER NOT NULL,
        assignment_id INTEGER NOT NULL UNIQUE REFERENCES assignment,
        result_payload TEXT NOT NULL
    );
    CREATE TABLE IF NOT EXISTS refresh_token (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        token TEXT NOT NULL,
        user_id INTEGER NOT NULL,
        expires_at INTEGER NOT NULL
    );
";

/// Jobs and everything that hangs on them.
///
/// Each method is one short transaction on one connection, so it may be called from async code.
#[derive(Debug)]
pub(crate) struct JobStore {
    connection: Mutex<Connection>,
    changes: watch::Sender<u64>,
}

impl JobStore {
    /// Opens the database in `file`, making it when it is missing, or one in memory; every write is announced on
    /// `changes`.
    pub(crate) fn open(
        file: Option<&Path>,
        changes: watch::Sender<u64>,
    ) -> Result<Self, StoreError> {
        let connection = match file {
            Some(file) => Connection::open(file)?,
            None => Connection::open_in_memory()?,
        };
        // A lab is thrown away sooner than a disk fails: no write waits for one.
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.execute_batch(TABLES)?;
        Ok(Self {
            connection: Mutex::new(connection),
            changes,
        })
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        read(
            &self
                .connection
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    fn write<T>(
        &self,
        write: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let transaction = connection.transaction()?;
        let outcome = write(&transaction)?;
        transaction.commit()?;
        self.changes.send_modify(|count| *count += 1);
        Ok(outcome)
    }

    /// Keeps a refresh token and returns its id.
    pub(crate) fn add_refresh_token(
        &self,
        token: &str,
        user: i64,
        expires: Time,
    ) -> Result<i64, StoreError> {
        self.write(|db| {
            let sql = "INSERT INTO refresh_token (token, user_id, expires_at) VALUES (?, ?, ?)";
            db.execute(sql, params![token, user, expires.0])?;
            Ok(db.last_insert_rowid())
        })
    }

    /// Whose refresh token this is and until when it is good.
    pub(crate) fn refresh_token(
        &self,
        id: i64,
        token: &str,
    ) -> Result<Option<(i64, Time)>, StoreError> {
        self.read(|db| {
            let sql = "SELECT user_id, expires_at FROM refresh_token WHERE id = ? AND token = ?";
            let row = db.query_row(sql, params![id, token], |row| {
                Ok((row.get(0)?, Time(row.get(1)?)))
            });
            Ok(row.optional()?)
        })
    }
}
