//! One call of a handler: panics caught, limits kept.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;
use tracing::{Instrument, Span, field};

use super::progress::log_progress_while;
use crate::handler::{Cause, ContextParts, JobContext, JobError, Registry};
use crate::job::{Assignment, Job};
use crate::ledger::{Limit, Reached};

/// The most time a cancelled handler gets to return before its future is dropped.
pub(crate) const COOPERATION: Duration = Duration::from_secs(1);

/// Whether an abandoned handler still blocks its thread. Dropping tokio's runtime would wait for that thread.
static THREAD_LOST: AtomicBool = AtomicBool::new(false);

/// Whether dropping the async runtime would wait for a handler that was abandoned.
pub(crate) fn thread_is_lost() -> bool {
    THREAD_LOST.load(Ordering::Relaxed)
}

/// The span around all log lines of a job, from its claim on. It has the level of errors, so that it exists even if only
/// errors are logged.
pub(crate) fn job_span(job: &Job) -> Span {
    tracing::error_span!(
        "job",
        job_id = %job.id,
        job_type = %job.job_type,
        assignment_id = field::Empty,
    )
}

/// Records in a job's span the assignment under which the job runs.
pub(crate) fn note_assignment(span: &Span, assignment: &Assignment) {
    span.record("assignment_id", field::display(&assignment.id));
}

/// Calls the handler of a job once, and logs the progress of long transfers. A handler that panics or reaches its limit
/// has failed permanently; at the limit it gets `cooperation` to return, and twice that if it blocks its thread.
pub(crate) async fn call(
    registry: &Registry,
    parts: ContextParts,
    limit: Limit<'_>,
    cooperation: Duration,
) -> Result<Value, JobError> {
    let cancellation = parts.cancellation.clone();
    let transfers = parts.storage.progress().clone();
    let ctx = JobContext::from(parts);
    // A separate task, so that a panic ends only that task.
    let mut handling = tokio::spawn(registry.run(ctx).in_current_span());
    let reached = match limit
        .run(log_progress_while(&transfers, &mut handling))
        .await
    {
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
    /// The cause of a failure by this limit.
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
