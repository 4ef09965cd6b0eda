//! A running lab.

use std::sync::Arc;

use serde_json::Value;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio_util::sync::DropGuard;

use crate::account::{PASSWORD, WORKER};
use crate::api::Api;
use crate::connection::Connections;
use crate::data::DataFolder;
use crate::error::LabError;
use crate::faults::Faults;
use crate::request_log::RequestRecord;

/// A running lab: the job API and the S3 server. Dropping it stops both immediately.
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
    /// The API's endpoint on this machine, such as `http://127.0.0.1:5000`. Its routes are under `/api`.
    pub fn api_endpoint(&self) -> &str {
        &self.api_endpoint
    }

    /// The address of the lab's page on this machine, such as `http://127.0.0.1:5000/lab`.
    pub fn page(&self) -> String {
        format!("{}/lab", self.api_endpoint)
    }

    /// The S3 server's endpoint on this machine, such as `http://127.0.0.1:9000`. Buckets are addressed by path.
    pub fn s3_endpoint(&self) -> &str {
        &self.api.objects.endpoint
    }

    /// The bucket of the storage locations.
    pub fn bucket(&self) -> &str {
        &self.api.objects.bucket
    }

    /// The names and values for the `.env` of a worker on this machine.
    pub fn env(&self) -> Vec<(&'static str, String)> {
        let s3_key = &self.api.objects.credentials;
        vec![
            ("API_ENDPOINT", self.api_endpoint.clone()),
            ("WORKER_USERNAME", WORKER.email.to_owned()),
            ("WORKER_PASSWORD", PASSWORD.to_owned()),
            ("AWS_REGION", self.api.objects.region.to_owned()),
            ("S3_ENDPOINT", self.s3_endpoint().to_owned()),
            ("S3_BUCKET_NAME", self.bucket().to_owned()),
            ("MINIO_USERNAME", s3_key.access_key.clone()),
            ("MINIO_PASSWORD", s3_key.secret_key.clone()),
        ]
    }

    /// The faults of the lab, to set and remove them.
    pub fn faults(&self) -> &Faults {
        &self.api.faults
    }

    /// Expires all access tokens issued so far. Refresh tokens stay valid.
    pub fn expire_tokens(&self) {
        self.api.tokens.expire_all();
    }

    /// Submits a job as `worker@email.com` and returns its id. As over HTTP, if an equal job is pending, in progress or has
    /// succeeded, that job's id is returned and no second job is created.
    ///
    /// # Errors
    /// When the job type is unknown or the payload does not match its schema.
    pub fn submit(&self, job_type: &str, payload: Value) -> Result<i64, LabError> {
        let created = self.api.submit_any(WORKER.id, job_type, payload);
        Ok(created.map_err(LabError::refused)?.job_id)
    }

    /// A job with its assignments and their results, as in the `job` field of `GET /jobs/{id}`.
    ///
    /// # Errors
    /// When there is no such job.
    pub fn job(&self, id: i64) -> Result<Value, LabError> {
        let details = self.api.job(id).map_err(LabError::refused)?;
        serde_json::to_value(details).map_err(LabError::refused)
    }

    /// All jobs, ordered by id, each in the form of [`job`](Self::job).
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

    /// The latest 10,000 requests that have been answered, oldest first.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.api.log.all()
    }

    /// Each request from now on, when it has been answered. A receiver that is more than 1,024 requests behind misses the
    /// oldest.
    pub fn live_requests(&self) -> broadcast::Receiver<RequestRecord> {
        self.api.log.subscribe()
    }

    /// The number of open connections of both servers, busy or idle.
    pub fn connections(&self) -> usize {
        self.connections.count()
    }

    /// Waits without a time limit until a job, in the form of [`job`](Self::job), meets `condition`, and returns it.
    ///
    /// Cancel safe: use it with [`tokio::time::timeout`].
    ///
    /// # Errors
    /// When there is no such job.
    pub async fn wait_for(
        &self,
        id: i64,
        mut condition: impl FnMut(&Value) -> bool,
    ) -> Result<Value, LabError> {
        let mut latest = self.job(id);
        self.wait_until(|lab| {
            latest = lab.job(id);
            latest.as_ref().map_or(true, &mut condition)
        })
        .await;
        latest
    }

    /// Waits without a time limit until `condition` holds. It is checked at once, and again after every answered request
    /// and every change of a job or fault.
    ///
    /// Cancel safe.
    pub async fn wait_until(&self, mut condition: impl FnMut(&Self) -> bool) {
        let mut changes = self.changes.subscribe();
        // `self` owns the sender, so waiting cannot fail.
        while !condition(self) && changes.changed().await.is_ok() {}
    }

    /// Stops both servers, closes their connections, and removes data that is not to be kept.
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
    async fn a_lab_leaves_no_data_behind_when_it_is_shut_down_or_dropped() {
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
