//! Storing the log of a job.

use std::time::Duration;

use tokio::time::timeout;

use super::lines::JobLog;
use crate::Chain;
use crate::job::Claim;
use crate::ledger::{Limit, escape_id};
use crate::storage::{OutputManifest, Storage, StorageError, StorageUri};

/// The name of a log among outputs.
const NAME: &str = "job-log.jsonl";

/// How long the report of a job waits for its log to be stored.
const TIME: Duration = Duration::from_secs(10);

/// Where the log of each job is stored: the lines that are logged while it runs, one JSON object per line.
///
/// It is stored before the job is reported as succeeded or failed, but not after the claim or the lease has ended. If it
/// cannot be stored, the worker logs a warning; the job does not fail. Of a long log the first 10 MiB and the last
/// 256 KiB are kept.
///
/// A program that sets up logging itself has to install the subscriber that
/// [`telemetry::subscriber`](crate::app::telemetry::subscriber) returns; with another one there are no job logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobLogs {
    /// Nowhere.
    #[default]
    Off,
    /// As `job-log.jsonl` with the job's outputs, where users see it; not if an output has that name, or if there are
    /// already as many outputs as users can be shown.
    Outputs,
    /// As `{job id}/{assignment id}.jsonl` in this folder.
    Folder(StorageUri),
}

impl JobLogs {
    /// Whether a log may be stored together with `outputs`: it must not replace one of them, nor be the one too
    /// many of the `most` that users can be shown.
    pub(crate) fn fit(&self, outputs: &OutputManifest, most: Option<usize>) -> bool {
        let has_room = most.is_none_or(|most| outputs.files().len() < most);
        *self != Self::Outputs || (has_room && !outputs.uses(NAME))
    }

    fn uri(&self, claim: &Claim) -> Result<StorageUri, StorageError> {
        let (job, assignment) = (escape_id(&claim.job.id), escape_id(&claim.assignment.id));
        match self {
            Self::Folder(folder) => folder.join(&format!("{job}/{assignment}.jsonl")),
            Self::Off | Self::Outputs => {
                let outputs: StorageUri = claim.assignment.storage_uri.parse()?;
                outputs.join(NAME)
            }
        }
    }
}

/// Stores a log, unless it is empty or storing takes too long.
pub(crate) async fn store(
    log: JobLog,
    to: &JobLogs,
    claim: &Claim,
    storage: &Storage,
    limit: Limit<'_>,
) {
    if log.is_empty() {
        return;
    }
    let storing = async {
        let uri = to.uri(claim)?;
        let not_written = StorageError::local("write", uri.to_string());
        let file = log.finish().await.map_err(not_written)?;
        // The cheaper storage classes charge a minimum size for small objects.
        let storage = storage.with_storage_class(None);
        storage.upload_file(&file, &uri).await
    };
    let error = match limit.run(timeout(TIME, storing)).await {
        Ok(Ok(Ok(stored))) => {
            tracing::info!(uri = %stored.uri, bytes = stored.size, "job log stored");
            return;
        }
        Ok(Ok(Err(error))) => Chain(&error).to_string(),
        Ok(Err(_)) => format!("it takes longer than {} s", TIME.as_secs()),
        Err(reached) => reached.to_string(),
    };
    tracing::warn!(error, "job log not stored");
}
