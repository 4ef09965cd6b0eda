//! One call of a handler: panics caught, limits kept.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tracing::{Instrument, Span, field};

use super::transfers::told;
use crate::handler::{Cause, ContextParts, JobContext, JobError, Registry};
use crate::job::{Assignment, Job};
use crate::ledger::{Limit, Reached};

/// The most time a cancelled handler gets to return before its future is dropped.
pub(crate) const COOPERATION: Duration = Duration::from_secs(1);

/// Whether a handler has been given up that blocks its thread, which tokio's runtime would wait for at its end.
static THREAD_LOST: AtomicBool = AtomicBool::new(false);

/// Whether the end of the async runtime would wait for a handler that was given up.
pub(crate) fn thread_is_lost() -> bool {
    THREAD_LOST.load(Ordering::Relaxed)
}

/// What surrounds all log lines of a job, from its claim on; of the highest level, so that it is there for errors
/// when nothing else is logged.
pub(crate) fn job_span(job: &Job) -> Span {
    tracing::error_span!(
        "job",
        job_id = %job.id,
        job_type = %job.job_type,
        assignment_id = field::Empty,
    )
}

/// Notes in a job's span under which assignment the job runs.
pub(crate) fn note_assignment(span: &Span, assignment: &Assignment) {
    span.record("assignment_id", field::display(&assignment.id));
}

/// Calls the handler of a job once, and logs its transfers while they go on for long. A handler that
/// panics or reaches its limit has failed for good; at the limit it gets `cooperation` to return, twice
/// if it blocks its thread.
pub(crate) async fn call(
    registry: &Registry,
    parts: ContextParts,
    limit: Limit<'_>,
    cooperation: Duration,
) -> Result<Value, JobError> {
    let cancellation = parts.cancellation.clone();
    let transfers = parts.storage.progress().clone();
    let ctx = JobContext::from(parts);
    // A task of its own, so that a panic ends there.
    let mut handling = tokio::spawn(registry.run(ctx).in_current_span());
    let reached = match limit.run(told(&transfers, &mut handling)).await {
        Ok(ended) => return ended.unwrap_or_else(|error| Err(crashed(error))),
        Err(reached) => reached,
    };
    cancellation.cancel();
    if tokio::time::timeout(cooperation, &mut handling)
        .await
        .is_err()
    {
        handling.abort();
        // The future is dropped before its scratch folder is removed, unless it blocks its thread.
        if tokio::time::timeout(cooperation, handling).await.is_err() {
            THREAD_LOST.store(true, Ordering::Relaxed);
            tracing::error!("handler blocks its thread and cannot be cancelled; use ctx.blocking");
        }
    }
    Err(JobError::permanent(format!("cancelled: {reached}")).because(reached.into()))
}

impl From<Reached> for Cause {
    /// What a limit makes of a job that it has cut short.
    fn from(reached: Reached) -> Self {
        match reached {
            Reached::Lease | Reached::TimeLimit | Reached::Recovery => Self::Deadline,
            Reached::Shutdown | Reached::Ended => Self::Shutdown,
        }
    }
}

fn crashed(error: tokio::task::JoinError) -> JobError {
    match error.try_into_panic() {
        Ok(panic) => JobError::panic("handler", &*panic),
        Err(error) => JobError::permanent(error),
    }
}
