//! A running lab.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio_util::sync::DropGuard;

use crate::account::{PASSWORD, WORKER};
use crate::api::Api;
use crate::builder::{LabBuilder, REGION, S3_KEY};
use crate::data::DataFolder;
use crate::fault::Faults;
use crate::request_log::RequestRecord;
use crate::route::Side;
use crate::server::Connections;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a lab did not start, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A server could not listen on its address.
    #[error(
        "the {side} server cannot listen on {address}; choose another port (0 for a free one) or host"
    )]
    Bind {
        /// Which server.
        side: Side,
        /// The address it was to have.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The folder for jobs and objects cannot be used.
    #[error("the data in {} cannot be used", folder.display())]
    Data {
        /// The folder.
        folder: PathBuf,
        /// What went wrong.
        source: BoxError,
    },
    /// Another lab has the folder for jobs and objects.
    #[error(
        "another lab uses the data in {}; stop that one, or give this one another folder",
        folder.display()
    )]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// A job type's schema is no JSON Schema.
    #[error("the schema of job type {job_type} is no JSON Schema: {reason}")]
    Schema {
        /// The job type.
        job_type: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No key to sign access tokens with could be made.
    #[error("no key to sign access tokens with could be made")]
    SigningKey,
    /// The API would refuse what was asked.
    #[error("the lab refused: {0}")]
    Refused(#[source] BoxError),
}

impl LabError {
    pub(crate) fn data(folder: &Path, source: impl Into<BoxError>) -> Self {
        Self::Data {
            folder: folder.to_owned(),
            source: source.into(),
        }
    }

    pub(crate) fn schema(job_type: &str, reason: &impl ToString) -> Self {
        Self::Schema {
            job_type: job_type.to_owned(),
            reason: reason.to_string(),
        }
    }

    pub(crate) fn refused(source: impl Into<BoxError>) -> Self {
        Self::Refused(source.into())
    }
}

/// A running lab: the job API and the S3 server. Dropping it stops both at once.
#[derive(Debug)]
pub struct Lab {
    pub(crate) api: Arc<Api>,
    pub(crate) api_endpoint: String,
    pub(crate) tasks: JoinSet<()>,
    pub(crate) stop: DropGuard,
    pub(crate) changes: watch::Sender<u64>,
    pub(crate) connections: Connections,
    pub(crate) folder: DataFolder,
}

impl Lab {
    /// Sets up a lab.
    pub fn builder() -> LabBuilder {
        LabBuilder::default()
    }

    /// Where this machine reaches the API, such as `http://127.0.0.1:5000`; its routes are under `/api` from there.
    pub fn api_endpoint(&self) -> &str {
        &self.api_endpoint
    }

    /// Where a browser on this machine finds the lab's page, such as `http://127.0.0.1:5000/lab`.
    pub fn page(&self) -> String {
        format!("{}/lab", self.api_endpoint)
    }

    /// Where this machine reaches the S3 server, such as `http://127.0.0.1:9000`; buckets are addressed by path.
    pub fn s3_endpoint(&self) -> &str {
        &self.api.objects.endpoint
    }

    /// The bucket that storage locations are in.
    pub fn bucket(&self) -> &str {
        &self.api.objects.bucket
    }

    /// What goes into the `.env` of a worker on this machine, names and values.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        vec![
            ("API_ENDPOINT", self.api_endpoint.clone()),
            ("WORKER_USERNAME", WORKER.email.to_owned()),
            ("WORKER_PASSWORD", PASSWORD.to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            ("S3_ENDPOINT", self.s3_endpoint().to_owned()),
            ("S3_BUCKET_NAME", self.bucket().to_owned()),
            ("MINIO_USERNAME", S3_KEY.to_owned()),
            ("MINIO_PASSWORD", S3_KEY.to_owned()),
        ]
    }

    /// The fault dials.
    pub fn faults(&self) -> &Faults {
        &self.api.faults
    }

    /// Ends all access tokens given out so far; refresh tokens stay good.
    pub fn expire_tokens(&self) {
        self.api.tokens.expire_all();
    }

    /// Submits a job as `worker@email.com` and returns its id. As over HTTP, an equal job that is waiting, under way or
    /// done is returned instead of a second one.
    ///
    /// # Errors
    /// When the job type is unknown or the payload does not fit its schema.
    pub fn submit(&self, job_type: &str, payload: Value) -> Result<i64, LabError> {
        let created = self.api.submit_any(WORKER.id, job_type, payload);
        Ok(created.map_err(LabError::refused)?.job_id)
    }

    /// A job with its assignments and their results, as `GET /jobs/{id}` shows it under `job`.
    ///
    /// # Errors
    /// When there is no such job.
    pub fn job(&self, id: i64) -> Result<Value, LabError> {
        let details = self.api.job(id).map_err(LabError::refused)?;
        serde_json::to_value(details).map_err(LabError::refused)
    }

    /// All jobs, each as [`job`](Self::job) shows it, by id.
    ///
    /// # Errors
    /// When the database fails.
    pub fn jobs(&self) -> Result<Vec<Value>, LabError> {
        let (mut jobs, _) = self
            .api
            .store
            .list(None, None, i64::MAX)
            .map_err(LabError::refused)?;
        jobs.sort_by_key(|details| details.job.id);
        jobs.iter()
            .map(|details| serde_json::to_value(details).map_err(LabError::refused))
            .collect()
    }

    /// The requests answered so far (the latest 10,000), oldest first.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.api.log.all()
    }

    /// Requests from now on, each as it is answered. A receiver that falls over 1,024 behind misses the oldest.
    pub fn live_requests(&self) -> broadcast::Receiver<RequestRecord> {
        self.api.log.subscribe()
    }

    /// How many connections its servers have open now, busy or idle.
    pub fn connections(&self) -> usize {
        self.connections.count()
    }

    /// Waits, for as long as it takes, until a job as [`job`](Self::job) shows it meets `condition`, and returns it.
    ///
    /// Cancel safe: put it under [`tokio::time::timeout`].
    ///
    /// # Errors
    /// When there is no such job.
    pub async fn wait_for(
        &self,
        id: i64,
        mut condition: impl FnMut(&Value) -> bool,
    ) -> Result<Value, LabError> {
        let mut outcome = self.job(id);
        self.wait_until(|lab| {
            outcome = lab.job(id);
            outcome.as_ref().map_or(true, &mut condition)
        })
        .await;
        outcome
    }

    /// Waits, for as long as it takes, until `condition` holds. It is asked at once and again after every answered
    /// request and every change of a job or a dial.
    ///
    /// Cancel safe.
    pub async fn wait_until(&self, mut condition: impl FnMut(&Self) -> bool) {
        let mut changes = self.changes.subscribe();
        // The sender lives as long as `self`: waiting for it cannot fail.
        while !condition(self) && changes.changed().await.is_ok() {}
    }

    /// Stops both servers, cuts their connections, and removes what was not to be kept.
    pub async fn shutdown(self) {
        drop(self.stop);
        let mut tasks = self.tasks;
        while tasks.join_next().await.is_some() {}
        drop(self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_lab_leaves_nothing_behind_whether_shut_down_or_dropped() {
        for shut_down in [true, false] {
            let lab = Lab::builder().start().await.unwrap();
            let folder = lab.folder.path().to_owned();
            let address = lab.api_endpoint().trim_start_matches("http://").to_owned();
            assert!(folder.join("s3").is_dir());
            if shut_down {
                lab.shutdown().await;
                assert!(tokio::net::TcpStream::connect(address).await.is_err());
            } else {
                drop(lab);
            }
            assert!(!folder.exists());
        }
    }
}
