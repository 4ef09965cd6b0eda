//! One claimed job, from its payload to its outcome.

use std::pin::pin;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span, field};

use super::call::{COOPERATION, call};
use super::job_logs;
use super::scratch::{self, Scratch};
use super::shutdown::{Shutdown, reserve};
use super::transfers::told;
use super::trouble::Trouble;
use super::watch;
use super::worker::Shared;
use crate::Chain;
use crate::handler::{Cause, ContextParts, JobError};
use crate::job::{Claim, Outcome};
use crate::ledger::{
    ClaimGuard, DeliveryError, DeliveryObserver, Limit, Reached, deliver, escape_id,
};
use crate::observe::health::Health;
use crate::observe::job_log::JobLog;
use crate::observe::metrics::{JobEnd, Metrics, Operation};
use crate::retry::RetryPolicy;
use crate::storage::{
    FolderTransfer, OutputManifest, Outputs, Storage, StorageError, StorageUri, TransferProgress,
    publish,
};
use crate::trace;

/// Between tries of storing the outputs.
const PUBLISH_RETRY: RetryPolicy = RetryPolicy::new(Duration::from_secs(1))
    .cap(Duration::from_secs(30))
    .unlimited();

/// Why an attempt failed.
struct Failure {
    cause: Cause,
    reason: String,
}

impl Failure {
    fn new(cause: Cause, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { cause, reason }
    }

    fn workers(reason: String) -> Self {
        Self::new(Cause::Worker, reason)
    }
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        Self::new(error.cause(), error.to_string())
    }
}

/// Runs a claimed job in the folders that were prepared for it, delivers its outcome and closes its record.
pub(super) async fn work(
    shared: &Shared,
    shutdown: &Shutdown,
    claim: Claim,
    record: ClaimGuard,
    scratch: Option<Scratch>,
) {
    let started = Instant::now();
    let mut run = Run {
        log: job_logs::begin(shared),
        scratch,
        ..Run::default()
    };
    tracing::info!(
        lease_s = claim.lease.map(|lease| lease.as_secs()),
        storage_uri = claim.assignment.storage_uri,
        "job claimed"
    );
    let Some(attempted) = watched(shared, shutdown, &claim, &mut run).await else {
        ended(shared, &claim, JobEnd::GivenUp, started);
        record.remove().await;
        return;
    };
    // What succeeded fails only because the source does not take its result.
    let (outcome, cause) = match attempted {
        Ok(result) => (Outcome::Succeeded { result }, Cause::Result),
        Err(Failure { cause, reason }) => (Outcome::Failed { reason }, cause),
    };
    if let Outcome::Failed { reason } = &outcome {
        // Said at once: reporting it may take long, and this process may not live to see it done.
        tracing::warn!(reason, "attempt failed, reporting the job as failed");
    }
    if let Some(log) = run.log
        && let Ok(storage) = with_job_metadata(&shared.storage, &claim)
    {
        job_logs::store(shared, shutdown, &claim, &storage, log).await;
    }
    let limit = Limit {
        shutdown: &shutdown.give_up,
        end: claim.lease_end().map(|end| (end, Reached::Lease)),
        ended: None,
    };
    shared.health.delivery_started();
    let observer = Observer {
        health: shared.health.clone(),
        retries: shared.metrics.retries(Operation::Deliver),
    };
    let delivering = Instant::now();
    let span = tracing::error_span!("deliver", status = %outcome.status());
    let delivered = deliver(&*shared.source, &observer, &claim, outcome, &record, limit)
        .instrument(span.clone())
        .await;
    if let Err(error) = &delivered {
        trace::failed(&span, Chain(error));
    }
    drop(span);
    let deliver_s = delivering.elapsed().as_secs_f64();
    shared.health.delivery_ended();
    let seconds = started.elapsed().as_secs_f64();
    let (handle_s, publish_s) = (run.handle_s, run.publish_s);
    let end = match &delivered {
        Ok(Outcome::Succeeded { .. }) => {
            tracing::info!(seconds, handle_s, publish_s, deliver_s, "job succeeded");
            JobEnd::Succeeded
        }
        Ok(Outcome::Failed { reason }) => {
            tracing::error!(
                seconds,
                handle_s,
                publish_s,
                deliver_s,
                reason,
                %cause,
                "job failed"
            );
            trace::failed(&Span::current(), reason);
            JobEnd::Failed
        }
        Err(error @ DeliveryError::Superseded { unposted, .. }) => {
            tracing::warn!(seconds, handle_s, publish_s, deliver_s, reason = %Chain(error), "job given up");
            if *unposted && let Ok(outputs) = claim.assignment.storage_uri.parse() {
                take_back(shared, &outputs).await;
            }
            JobEnd::GivenUp
        }
        Err(error) => {
            let cause = Cause::Delivery;
            tracing::error!(seconds, handle_s, publish_s, deliver_s, error = %Chain(error), %cause, "job left without a result");
            JobEnd::Undelivered
        }
    };
    ended(shared, &claim, end, started);
    match delivered {
        Ok(_) | Err(DeliveryError::Superseded { .. }) => record.remove().await,
        // The record stays, for whoever can deliver it later.
        Err(_) => drop(record),
    }
}

/// Counts a job that ended.
fn ended(shared: &Shared, claim: &Claim, end: JobEnd, started: Instant) {
    shared.counters.ended(end);
    let took = started.elapsed();
    shared.metrics.ended(&claim.job.job_type, end, took);
}

/// What is known of a job besides its outcome.
#[derive(Default)]
struct Run {
    /// What was prepared for its first attempt.
    scratch: Option<Scratch>,
    /// How long its handler has taken, all tries together.
    handle_s: Option<f64>,
    /// How long it has taken to store its outputs.
    publish_s: Option<f64>,
    /// Its log, until that is stored.
    log: Option<JobLog>,
}

/// What came of an attempt, for as long as somebody waits for it; with `None` there is nothing to report.
async fn watched(
    shared: &Shared,
    shutdown: &Shutdown,
    claim: &Claim,
    run: &mut Run,
) -> Option<Result<Value, Failure>> {
    let ended = CancellationToken::new();
    let mut attempting = pin!(attempt(shared, shutdown, claim, &ended, run));
    let interval = shared.options.watch_interval;
    tokio::select! {
        biased;
        attempted = &mut attempting => Some(attempted),
        reason = watch::ended(&*shared.source, &shared.health, claim, interval) => {
            tracing::warn!(reason, "job given up");
            ended.cancel();
            // The handler is let go as ever; what it may still return is not stored.
            let _ = attempting.await;
            None
        }
    }
}

/// Runs the handler and publishes its outputs.
async fn attempt(
    shared: &Shared,
    shutdown: &Shutdown,
    claim: &Claim,
    ended: &CancellationToken,
    run: &mut Run,
) -> Result<Value, Failure> {
    if let Some(why) = &claim.job.unreadable {
        let reason = format!("the job cannot be read: {why}");
        return Err(Failure::new(Cause::Payload, reason));
    }
    let margin = shared.options.deadline_margin;
    let before_lease_ends = |margin| {
        let end = claim.lease_end().and_then(|end| end.checked_sub(margin));
        end.map(|end| (end, Reached::Lease))
    };
    let time_limit = shared
        .options
        .of(&claim.job.job_type)
        .time_limit
        .and_then(|limit| Instant::now().checked_add(limit))
        .map(|end| (end, Reached::TimeLimit));
    let handling = Limit {
        shutdown: &shutdown.cancel_jobs,
        end: [before_lease_ends(margin), time_limit]
            .into_iter()
            .flatten()
            .min_by_key(|(end, _)| *end),
        ended: Some(ended),
    };
    let publishing = Limit {
        shutdown: &shutdown.end_uploads,
        end: before_lease_ends(margin / 2),
        ended: Some(ended),
    };

    let mut trouble = Trouble::new(&shared.troubles, &claim.job.job_type, handling);
    let (storage, destination) = loop {
        match destination(shared, claim) {
            Ok(found) => break found,
            // It stays as it is. But a worker that failed the job at once would claim the next one and fail that.
            Err(reason) => trouble.wait(reason).await.map_err(Failure::workers)?,
        }
    };
    let started = Instant::now();
    let prepared = run.scratch.take();
    let handled = handle(shared, &storage, handling, &mut trouble, claim, prepared).await;
    run.handle_s = Some(started.elapsed().as_secs_f64());
    let (result, scratch) = handled?;
    let outcome = Outcome::Succeeded {
        result: result.clone(),
    };
    shared
        .source
        .check(&outcome)
        .map_err(|error| Failure::new(Cause::Result, Chain(&error).to_string()))?;
    let outputs = Outputs::new(scratch.outputs());
    let started = Instant::now();
    let span = tracing::error_span!("publish", files = field::Empty, bytes = field::Empty);
    let storing = async {
        let outputs = list(&outputs, &shared.metrics).await?;
        warn_of_many(outputs.files().len(), shared.source.most_outputs());
        let stored = store(&outputs, &storage, &destination, &shared.metrics).await?;
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
            return Err(Failure::new(Cause::Storage, reason));
        }
        Err(reached) => {
            trace::failed(&span, reached);
            take_back(shared, &destination).await;
            let reason = format!("outputs not stored: {reached}");
            return Err(Failure::new(reached.into(), reason));
        }
    };
    span.record("files", files as i64)
        .record("bytes", bytes as i64);
    tracing::info!(files, bytes, seconds, storage_uri = %destination, "outputs stored");
    if run.log.is_some() && !job_logs::fits(shared, &outputs) {
        tracing::warn!(
            files,
            "job log not stored with the outputs, which have its name or leave no room; set JOB_LOGS to a folder"
        );
        run.log = None;
    }
    Ok(result)
}

/// Notes the tries of a delivery.
struct Observer {
    health: Health,
    retries: Counter,
}

impl DeliveryObserver for Observer {
    fn delivered(&self) {
        self.health.contact();
    }

    fn tried_again(&self) {
        self.retries.inc();
    }
}

/// Where the outputs of a job go.
fn destination(shared: &Shared, claim: &Claim) -> Result<(Storage, StorageUri), String> {
    let storage =
        with_job_metadata(&shared.storage, claim).map_err(|error| Chain(&error).to_string())?;
    let uri = claim.assignment.storage_uri.parse();
    let uri = uri.map_err(|error| format!("storage URI of the assignment: {}", Chain(&error)))?;
    Ok((storage, uri))
}

/// A storage that notes with each object whose it is.
fn with_job_metadata(storage: &Storage, claim: &Claim) -> Result<Storage, StorageError> {
    let worker = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
    let notes = [
        ("job-id", escape_id(&claim.job.id)),
        ("assignment-id", escape_id(&claim.assignment.id)),
        ("worker", worker.to_owned()),
    ];
    storage.with_metadata(notes)
}

/// Lists the outputs, again while the process has too many files open.
async fn list(outputs: &Outputs, metrics: &Metrics) -> Result<OutputManifest, StorageError> {
    PUBLISH_RETRY
        .run(
            || outputs.manifest(),
            |error, delay| wait(error, delay, metrics),
        )
        .await
}

/// Stores the outputs; an outage of the storage is waited out for as long as the caller allows.
pub(super) async fn store(
    outputs: &OutputManifest,
    storage: &Storage,
    to: &StorageUri,
    metrics: &Metrics,
) -> Result<FolderTransfer, StorageError> {
    let publishing = || async {
        let progress = TransferProgress::default();
        told(
            &progress,
            publish(outputs, &storage.with_progress(&progress), to),
        )
        .await
    };
    PUBLISH_RETRY
        .run(publishing, |error, delay| wait(error, delay, metrics))
        .await
}

/// How long to wait before another try; `None` if it would fail in the same way.
fn wait(error: &StorageError, delay: Duration, metrics: &Metrics) -> Option<Duration> {
    error.is_retryable().then(|| {
        metrics.retries(Operation::Publish).inc();
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

/// Removes what was stored before a publication was cut short, in a part of the time that is kept for
/// reporting the failure.
async fn take_back(shared: &Shared, destination: &StorageUri) {
    let time = reserve(shared.options.shutdown_grace).min(shared.options.deadline_margin) / 4;
    let removing = shared.storage.delete_folder(destination);
    match tokio::time::timeout(time, removing).await {
        Ok(Ok(removed)) => tracing::debug!(removed, "outputs taken back"),
        Ok(Err(error)) => {
            tracing::warn!(storage_uri = %destination, error = %Chain(&error), "outputs not taken back");
        }
        Err(_) => tracing::warn!(storage_uri = %destination, "outputs not taken back in time"),
    }
}

/// Calls the handler, again while its errors are retryable, each time with an empty scratch folder. What is the
/// worker's own trouble is no attempt: it is waited out.
async fn handle(
    shared: &Shared,
    storage: &Storage,
    limit: Limit<'_>,
    trouble: &mut Trouble<'_>,
    claim: &Claim,
    mut prepared: Option<Scratch>,
) -> Result<(Value, Scratch), Failure> {
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
                    trouble.wait(reason).await.map_err(Failure::workers)?;
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
        // Of the level of the job's own, as the others here: a task that is begun in a span which is not logged has
        // lost the job's.
        let span = tracing::error_span!("attempt", attempt = i64::from(attempt));
        let calling = call(&shared.registry, parts, limit, cooperation);
        let called = trouble.during(calling.instrument(span.clone())).await;
        let seconds = started.elapsed().as_secs_f64();
        let error = match called {
            Ok(result) if scratch.outputs().is_dir() => {
                trouble.over();
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
            let waited = trouble.wait(error.to_string()).await;
            waited.map_err(Failure::workers)?;
            continue;
        }
        trouble.over();
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
            Failure::new(error.cause(), reason)
        })?;
        shared.metrics.retries(Operation::Handler).inc();
        attempt += 1;
    }
}
