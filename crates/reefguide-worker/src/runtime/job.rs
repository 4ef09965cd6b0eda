//! A claimed job, from its claim to its reported outcome.

use std::pin::pin;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};

use super::attempt::{AttemptError, Run, attempt, lease_end, remove_outputs, with_job_metadata};
use super::scratch::Scratch;
use super::shared::Shared;
use super::shutdown::Shutdown;
use super::watch;
use crate::Chain;
use crate::handler::Cause;
use crate::job::{Claim, Outcome};
use crate::ledger::{ClaimGuard, DeliveryError, Limit, deliver};
use crate::observe::job_log::{self, JobLog, JobLogs};
use crate::observe::metrics::JobEnd;
use crate::trace;

/// Runs a claimed job in the folders that were prepared for it, delivers its outcome and removes its record.
pub(super) async fn run(
    shared: &Shared,
    shutdown: &Shutdown,
    claim: Claim,
    record: ClaimGuard,
    scratch: Option<Scratch>,
) {
    let started = Instant::now();
    let observer = &shared.observer;
    let job_type = &claim.job.job_type;
    let mut run = Run {
        log: begin_log(shared),
        scratch,
        ..Run::default()
    };
    tracing::info!(
        lease_s = claim.lease.map(|lease| lease.as_secs()),
        storage_uri = claim.assignment.storage_uri,
        "job claimed"
    );
    let Some(attempted) = watched_attempt(shared, shutdown, &claim, &mut run).await else {
        observer.job_ended(job_type, JobEnd::GivenUp, started.elapsed());
        record.remove().await;
        return;
    };
    // A job that succeeded can only fail because the source refuses its result.
    let (outcome, cause) = match attempted {
        Ok(result) => (Outcome::Succeeded { result }, Cause::Result),
        Err(AttemptError { cause, reason }) => (Outcome::Failed { reason }, cause),
    };
    if let Outcome::Failed { reason } = &outcome {
        // Logged at once: the report may take long, and this process may end before it.
        tracing::warn!(reason, "attempt failed, reporting the job as failed");
    }
    if let Some(log) = run.log
        && let Ok(storage) = with_job_metadata(&shared.storage, &claim)
    {
        let limit = Limit {
            shutdown: &shutdown.end_uploads,
            end: lease_end(&claim, shared.options.deadline_margin / 2),
            ended: None,
        };
        let to = &shared.options.job_logs;
        job_log::store(log, to, &claim, &storage, limit).await;
    }
    let limit = Limit {
        shutdown: &shutdown.give_up,
        end: lease_end(&claim, Duration::ZERO),
        ended: None,
    };
    observer.delivery_started();
    let delivering = Instant::now();
    let span = tracing::error_span!("deliver", status = %outcome.status());
    let delivered = deliver(&*shared.source, observer, &claim, outcome, &record, limit)
        .instrument(span.clone())
        .await;
    if let Err(error) = &delivered {
        trace::failed(&span, Chain(error));
    }
    drop(span);
    let deliver_s = delivering.elapsed().as_secs_f64();
    observer.delivery_ended();
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
                remove_outputs(shared, &outputs).await;
            }
            JobEnd::GivenUp
        }
        Err(error) => {
            let cause = Cause::Delivery;
            tracing::error!(seconds, handle_s, publish_s, deliver_s, error = %Chain(error), %cause, "job left without a result");
            JobEnd::Undelivered
        }
    };
    observer.job_ended(job_type, end, started.elapsed());
    match delivered {
        Ok(_) | Err(DeliveryError::Superseded { .. }) => record.remove().await,
        // The record stays, so that another worker can deliver the outcome later.
        Err(_) => drop(record),
    }
}

/// Begins the log of the job in whose span this is called, if job logs are stored.
fn begin_log(shared: &Shared) -> Option<JobLog> {
    if shared.options.job_logs == JobLogs::Off {
        return None;
    }
    JobLog::begin(shared.scratch.path()).unwrap_or_else(|error| {
        tracing::warn!(error = %Chain(&error), "job log not kept");
        None
    })
}

/// The result of an attempt; `None` if its outcome is no longer wanted, so that there is nothing to report.
async fn watched_attempt(
    shared: &Shared,
    shutdown: &Shutdown,
    claim: &Claim,
    run: &mut Run,
) -> Option<Result<Value, AttemptError>> {
    let ended = CancellationToken::new();
    let mut attempting = pin!(attempt(shared, shutdown, claim, &ended, run));
    let interval = shared.options.watch_interval;
    tokio::select! {
        biased;
        attempted = &mut attempting => Some(attempted),
        reason = watch::ended(&*shared.source, &shared.observer, claim, interval) => {
            tracing::warn!(reason, "job given up");
            ended.cancel();
            // The handler gets its usual time to return; what it returns is not stored.
            let _ = attempting.await;
            None
        }
    }
}
