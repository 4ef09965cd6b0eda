//! Storing the logs of jobs.

use std::time::Duration;

use tokio::time::timeout;

use super::options::JobLogs;
use super::shutdown::Shutdown;
use super::worker::Shared;
use crate::Chain;
use crate::job::Claim;
use crate::ledger::escape_id;
use crate::ledger::{Limit, Reached};
use crate::observe::job_log::JobLog;
use crate::storage::{OutputManifest, Storage, StorageError, StorageUri};

/// The name of a log among outputs.
const NAME: &str = "job-log.jsonl";
/// How long a job waits to be reported until its log is stored.
const TIME: Duration = Duration::from_secs(10);

/// Begins the log of the job in whose span this is called, if it is to be kept.
pub(super) fn begin(shared: &Shared) -> Option<JobLog> {
    if shared.options.job_logs == JobLogs::Off {
        return None;
    }
    JobLog::begin(shared.scratch.path()).unwrap_or_else(|error| {
        tracing::warn!(error = %Chain(&error), "job log not kept");
        None
    })
}

/// Whether a log may be stored with the outputs: it must neither replace one of them nor be one file too many.
pub(super) fn fits(shared: &Shared, outputs: &OutputManifest) -> bool {
    let most = shared.source.most_outputs().unwrap_or(usize::MAX);
    shared.options.job_logs != JobLogs::Outputs
        || (outputs.files().len() < most && !outputs.uses(NAME))
}

/// Stores a log, unless that takes too long.
pub(super) async fn store(
    shared: &Shared,
    shutdown: &Shutdown,
    claim: &Claim,
    storage: &Storage,
    log: JobLog,
) {
    if log.is_empty() {
        return;
    }
    let margin = shared.options.deadline_margin / 2;
    let end = claim.lease_end().and_then(|end| end.checked_sub(margin));
    let limit = Limit {
        shutdown: &shutdown.end_uploads,
        end: end.map(|end| (end, Reached::Lease)),
        ended: None,
    };
    let storing = async {
        let uri = place(&shared.options.job_logs, claim)?;
        let not_written = StorageError::local("write", uri.to_string());
        let file = log.finish().await.map_err(not_written)?;
        // What is cheaper to keep costs more for small objects.
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

fn place(to: &JobLogs, claim: &Claim) -> Result<StorageUri, StorageError> {
    let (job, assignment) = (escape_id(&claim.job.id), escape_id(&claim.assignment.id));
    match to {
        JobLogs::Folder(folder) => folder.join(&format!("{job}/{assignment}.jsonl")),
        JobLogs::Off | JobLogs::Outputs => claim
            .assignment
            .storage_uri
            .parse::<StorageUri>()?
            .join(NAME),
    }
}
