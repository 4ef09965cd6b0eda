//! The attempt at a claimed job, from its payload to its stored outputs.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, field};

use super::blockers::AttemptBlocker;
use super::call::{COOPERATION, call};
use super::observer::Observer;
use super::progress::log_progress_while;
use super::scratch::{self, Scratch};
use super::shared::Shared;
use super::shutdown::{Shutdown, reserve};
use crate::Chain;
use crate::handler::{Cause, ContextParts, JobError};
use crate::job::{Claim, Outcome};
use crate::ledger::{Limit, Reached, escape_id};
use crate::observe::job_log::JobLog;
use crate::observe::metrics::Operation;
use crate::retry::RetryPolicy;
use crate::storage::{
    FolderTransfer, OutputManifest, Outputs, Storage, StorageError, StorageUri, TransferProgress,
    publish,
};
use crate::trace;

/// Between tries to store the outputs.
const PUBLISH_RETRY: RetryPolicy = RetryPolicy::new(Duration::from_secs(1))
    .cap(Duration::from_secs(30))
    .unlimited();

/// Why an attempt failed.
pub(super) struct AttemptError {
    pub(super) cause: Cause,
    pub(super) reason: String,
}

impl AttemptError {
    fn new(cause: Cause, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { cause, reason }
    }

    fn of_worker(reason: String) -> Self {
        Self::new(Cause::Worker, reason)
    }
}

impl From<JobError> for AttemptError {
    fn from(error: JobError) -> Self {
        Self::new(error.cause(), error.to_string())
    }
}

/// What a job's attempt needs and leaves, besides its result.
#[derive(Default)]
pub(super) struct Run {
    /// The folders that were prepared for it.
    pub(super) scratch: Option<Scratch>,
    /// How long its handler has taken, all calls together.
    pub(super) handle_s: Option<f64>,
    /// How long it has taken to store its outputs.
    pub(super) publish_s: Option<f64>,
    /// The job's log, until it is stored.
    pub(super) log: Option<JobLog>,
}

/// Runs the handler and publishes its outputs.
pub(super) async fn attempt(
    shared: &Shared,
    shutdown: &Shutdown,
    claim: &Claim,
    ended: &CancellationToken,
    run: &mut Run,
) -> Result<Value, AttemptError> {
    if let Some(why) = &claim.job.unreadable {
        let reason = format!("the job cannot be read: {why}");
        return Err(AttemptError::new(Cause::Payload, reason));
    }
    let margin = shared.options.deadline_margin;
    let time_limit = shared
        .options
        .of(&claim.job.job_type)
        .time_limit
        .and_then(|limit| Instant::now().checked_add(limit))
        .map(|end| (end, Reached::TimeLimit));
    let handling = Limit {
        shutdown: &shutdown.cancel_jobs,
        end: [lease_end(claim, margin), time_limit]
            .into_iter()
            .flatten()
            .min_by_key(|(end, _)| *end),
        ended: Some(ended),
    };
    let publishing = Limit {
        shutdown: &shutdown.end_uploads,
        end: lease_end(claim, margin / 2),
        ended: Some(ended),
    };

    let mut blocker = AttemptBlocker::new(&shared.blockers, &claim.job.job_type, handling);
    let (storage, destination) = loop {
        match destination(shared, claim) {
            Ok(found) => break found,
            // This does not mend itself. But a worker that failed the job at once would go on to fail the next one.
            Err(reason) => blocker
                .wait(reason)
                .await
                .map_err(AttemptError::of_worker)?,
        }
    };
    let started = Instant::now();
    let prepared = run.scratch.take();
    let handled = handle(shared, &storage, handling, &mut blocker, claim, prepared).await;
    run.handle_s = Some(started.elapsed().as_secs_f64());
    let (result, scratch) = handled?;
    let outcome = Outcome::Succeeded {
        result: result.clone(),
    };
    shared
        .source
        .check(&outcome)
        .map_err(|error| AttemptError::new(Cause::Result, Chain(&error).to_string()))?;
    let outputs = Outputs::new(scratch.outputs());
    let started = Instant::now();
    let span = tracing::error_span!("publish", files = field::Empty, bytes = field::Empty);
    let storing = async {
        let outputs = list(&outputs, &shared.observer).await?;
        warn_of_many(outputs.files().len(), shared.source.most_outputs());
        let stored = store(&outputs, &storage, &destination, &shared.observer).await?;
        Ok::<_, StorageError>((stored, outputs))
    };
    let stored = publishing.run(storing).instrument(span.clone()).await;
    let seconds = started.elapsed().as_secs_f64();
    run.publish_s = Some(seconds);
    let (FolderTransfer { files, bytes }, outputs) = match stored {
        Ok(Ok(stored)) => stored,
        Ok(Err(error)) => {
            trace::failed(&span, Chain(&error));
            let reason = format!("outputs not stored: {}", Chain(&error));
            return Err(AttemptError::new(Cause::Storage, reason));
        }
        Err(reached) => {
            trace::failed(&span, reached);
            remove_outputs(shared, &destination).await;
            let reason = format!("outputs not stored: {reached}");
            return Err(AttemptError::new(reached.into(), reason));
        }
    };
    span.record("files", files as i64)
        .record("bytes", bytes as i64);
    tracing::info!(files, bytes, seconds, storage_uri = %destination, "outputs stored");
    if run.log.is_some()
        && !shared
            .options
            .job_logs
            .fit(&outputs, shared.source.most_outputs())
    {
        tracing::warn!(
            files,
            "job log not stored with the outputs, which have its name or leave no room; set JOB_LOGS to a folder"
        );
        run.log = None;
    }
    Ok(result)
}

/// The time `margin` before the end of a claim's lease, if it has one.
pub(super) fn lease_end(claim: &Claim, margin: Duration) -> Option<(Instant, Reached)> {
    let end = claim.lease_end()?.checked_sub(margin)?;
    Some((end, Reached::Lease))
}

/// Where the outputs of a job go.
fn destination(shared: &Shared, claim: &Claim) -> Result<(Storage, StorageUri), String> {
    let storage =
        with_job_metadata(&shared.storage, claim).map_err(|error| Chain(&error).to_string())?;
    let uri = claim.assignment.storage_uri.parse();
    let uri = uri.map_err(|error| format!("storage URI of the assignment: {}", Chain(&error)))?;
    Ok((storage, uri))
}

/// A storage that adds the job, the assignment and the worker to each object's metadata.
pub(super) fn with_job_metadata(storage: &Storage, claim: &Claim) -> Result<Storage, StorageError> {
    let worker = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
    let metadata = [
        ("job-id", escape_id(&claim.job.id)),
        ("assignment-id", escape_id(&claim.assignment.id)),
        ("worker", worker.to_owned()),
    ];
    storage.with_metadata(metadata)
}

/// Lists the outputs, again while the process has too many files open.
async fn list(outputs: &Outputs, observer: &Observer) -> Result<OutputManifest, StorageError> {
    PUBLISH_RETRY
        .run(
            || outputs.manifest(),
            |error, delay| wait(error, delay, observer),
        )
        .await
}

/// Stores the outputs. During an outage of the storage it tries again for as long as the caller allows.
pub(super) async fn store(
    outputs: &OutputManifest,
    storage: &Storage,
    to: &StorageUri,
    observer: &Observer,
) -> Result<FolderTransfer, StorageError> {
    let publishing = || async {
        let progress = TransferProgress::default();
        log_progress_while(
            &progress,
            publish(outputs, &storage.with_progress(&progress), to),
        )
        .await
    };
    PUBLISH_RETRY
        .run(publishing, |error, delay| wait(error, delay, observer))
        .await
}

/// How long to wait before another try; `None` if it would fail in the same way.
fn wait(error: &StorageError, delay: Duration, observer: &Observer) -> Option<Duration> {
    error.is_retryable().then(|| {
        observer.retried(Operation::Publish);
        tracing::warn!(error = %Chain(error), delay_s = delay.as_secs_f64(), "outputs not stored yet, trying again");
        delay
    })
}

/// Warns before the upload, so that the reason is logged when a user later misses some files.
fn warn_of_many(files: usize, most: Option<usize>) {
    if let Some(most) = most.filter(|most| files > *most) {
        tracing::warn!(
            files,
            most,
            "more output files than users can be shown: put them together into an archive"
        );
    }
}

/// Removes the outputs that were stored before a publication was cut short, in a part of the time that is reserved for
/// reporting the failure.
pub(super) async fn remove_outputs(shared: &Shared, destination: &StorageUri) {
    let time = reserve(shared.options.shutdown_grace).min(shared.options.deadline_margin) / 4;
    let removing = shared.storage.delete_folder(destination);
    match tokio::time::timeout(time, removing).await {
        Ok(Ok(removed)) => tracing::debug!(removed, "outputs removed"),
        Ok(Err(error)) => {
            tracing::warn!(storage_uri = %destination, error = %Chain(&error), "outputs not removed");
        }
        Err(_) => tracing::warn!(storage_uri = %destination, "outputs not removed in time"),
    }
}

/// Calls the handler until it succeeds or its error is not retryable, each time with an empty scratch folder. A problem
/// of the worker itself does not count as a call: the worker waits until it is gone.
async fn handle(
    shared: &Shared,
    storage: &Storage,
    limit: Limit<'_>,
    blocker: &mut AttemptBlocker<'_>,
    claim: &Claim,
    mut prepared: Option<Scratch>,
) -> Result<(Value, Scratch), AttemptError> {
    let options = &shared.options;
    // Cancelling must leave time to report, in a shutdown and before the lease ends.
    let time = reserve(options.shutdown_grace).min(options.deadline_margin);
    let cooperation = COOPERATION.min(time / 4);
    let mut delays = options.retry_of(&claim.job.job_type).delays();
    let mut attempt = 1;
    loop {
        let scratch = match prepared.take().filter(Scratch::is_there) {
            Some(scratch) => scratch,
            None => match scratch::make(&shared.scratch) {
                Ok(scratch) => scratch,
                Err(error) => {
                    let reason = Chain(&error).to_string();
                    blocker
                        .wait(reason)
                        .await
                        .map_err(AttemptError::of_worker)?;
                    continue;
                }
            },
        };
        let parts = ContextParts {
            job: claim.job.clone(),
            assignment: claim.assignment.clone(),
            attempt,
            scratch: scratch.work(),
            outputs: Outputs::new(scratch.outputs()),
            storage: storage.with_progress(&TransferProgress::default()),
            inputs: shared.inputs.clone(),
            extensions: shared.registry.extensions.clone(),
            cancellation: CancellationToken::new(),
            deadline: limit.end.map(|(end, _)| end),
        };
        let started = Instant::now();
        tracing::info!(
            attempt,
            deadline_s = parts.deadline.map(|end| (end - started).as_secs_f64()),
            "attempt started"
        );
        // Of the same level as the job's span: a task that begins in a disabled span loses the job's.
        let span = tracing::error_span!("attempt", attempt = i64::from(attempt));
        let calling = call(&shared.registry, parts, limit, cooperation);
        let called = blocker.run(calling.instrument(span.clone())).await;
        let seconds = started.elapsed().as_secs_f64();
        let error = match called {
            Ok(result) if scratch.outputs().is_dir() => {
                blocker.clear();
                tracing::info!(attempt, seconds, "handler returned");
                return Ok((result, scratch));
            }
            Ok(_) => JobError::retryable("its folder for outputs was removed while it ran"),
            Err(error) => error,
        };
        trace::failed(&span, &error);
        drop(span);
        drop(scratch);
        if error.is_retryable() && error.cause() == Cause::Worker {
            let waited = blocker.wait(error.to_string()).await;
            waited.map_err(AttemptError::of_worker)?;
            continue;
        }
        blocker.clear();
        let Some(delay) = delays.next().filter(|_| error.is_retryable()) else {
            return Err(error.into());
        };
        tracing::warn!(
            attempt,
            seconds,
            %error,
            delay_s = delay.as_secs_f64(),
            "handler failed, trying again"
        );
        let slept = limit.run(tokio::time::sleep(delay)).await;
        slept.map_err(|reached| {
            let reason = format!("{error} (not tried again: {reached})");
            AttemptError::new(error.cause(), reason)
        })?;
        shared.observer.retried(Operation::Handler);
        attempt += 1;
    }
}
