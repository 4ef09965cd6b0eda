//! The SQLite database and its tables.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, Transaction};
use tokio::sync::watch;

/// The database failed, or one of its rows cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobStoreError {
    /// SQLite failed.
    #[error("the job database failed")]
    Sqlite(#[from] rusqlite::Error),
    /// A stored document is not JSON.
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

/// The jobs and everything that belongs to them.
///
/// Each method is one short transaction on one connection, so async code may call it.
#[derive(Debug)]
pub(crate) struct JobStore {
    connection: Mutex<Connection>,
    changes: watch::Sender<u64>,
}

impl JobStore {
    /// Opens the database in `file`, which is created if it does not exist, or a database in memory. Every write is
    /// announced on `changes`.
    pub(crate) fn open(
        file: Option<&Path>,
        changes: watch::Sender<u64>,
    ) -> Result<Self, JobStoreError> {
        let connection = match file {
            Some(file) => Connection::open(file)?,
            None => Connection::open_in_memory()?,
        };
        // A lab's data need not survive a power failure, so no write waits for the disk.
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.execute_batch(TABLES)?;
        Ok(Self {
            connection: Mutex::new(connection),
            changes,
        })
    }

    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, JobStoreError>,
    ) -> Result<T, JobStoreError> {
        read(&self.lock())
    }

    pub(super) fn write<T>(
        &self,
        write: impl FnOnce(&Transaction<'_>) -> Result<T, JobStoreError>,
    ) -> Result<T, JobStoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let written = write(&transaction)?;
        transaction.commit()?;
        self.changes.send_modify(|count| *count += 1);
        Ok(written)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        let connection = self.connection.lock();
        connection.unwrap_or_else(PoisonError::into_inner)
    }
}
