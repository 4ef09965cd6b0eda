//! Delivering an outcome to the source, with retries until the limit is reached.

use std::time::Duration;

use super::deadline::{Limit, Reached};
use super::guard::ClaimGuard;
use crate::job::{Claim, JobStatus, Outcome};
use crate::source::{Delivery, JobSource, SourceError};
use reefguide_transport::Chain;
use reefguide_transport::retry::RetryPolicy;

const RETRY: RetryPolicy = RetryPolicy::new(Duration::from_millis(500))
    .cap(Duration::from_secs(15))
    .unlimited();

/// After this many refusals of a failure, delivery is given up.
const REFUSALS: usize = 5;

/// Why an outcome was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The source refused it several times.
    #[error("the source refused the outcome")]
    Refused(#[source] SourceError),
    /// Another worker has reported the job, or its submitter has cancelled it.
    #[error("the job was reported as {status} before")]
    Superseded {
        /// The job's status.
        status: JobStatus,
        /// Whether that was before this worker had posted anything, so that no result refers to its outputs.
        unposted: bool,
    },
    /// The limit was reached.
    #[error("not delivered in time: {reached}")]
    OutOfTime {
        /// Which limit.
        reached: Reached,
        /// The last error of the source, if there was one.
        #[source]
        last: Option<SourceError>,
    },
}

/// Is notified of the tries of a delivery.
pub trait DeliveryObserver: Send + Sync {
    /// The source accepted an outcome, or already had one.
    fn delivered(&self) {}
    /// Delivery is tried again.
    fn tried_again(&self) {}
}

/// Observes nothing.
impl DeliveryObserver for () {}

/// Delivers an outcome and returns the outcome that the source recorded. If the source refuses a result, the job is reported
/// as failed.
///
/// A success is noted in the claim's record before it is delivered. A failure is noted only if its first delivery fails,
/// because a record without an outcome counts as a failure.
pub async fn deliver(
    source: &dyn JobSource,
    observer: &dyn DeliveryObserver,
    claim: &Claim,
    mut outcome: Outcome,
    record: &ClaimGuard,
    limit: Limit<'_>,
) -> Result<Outcome, DeliveryError> {
    let mut delays = RETRY.delays();
    let mut last = None;
    let mut refusals = 0;
    let mut noted = false;
    if let Outcome::Succeeded { .. } = outcome {
        noted = limit.run(record.note(&outcome)).await.is_ok();
    }
    loop {
        let delivered = limit.run(source.deliver(claim, &outcome)).await;
        if let Ok(Ok(_)) = &delivered {
            observer.delivered();
        }
        let error = match delivered {
            Ok(Ok(Delivery::Recorded)) => return Ok(outcome),
            Ok(Ok(Delivery::AlreadyRecorded(status))) => {
                return match status {
                    Some(status) if status != outcome.status() => {
                        let unposted = last.is_none();
                        Err(DeliveryError::Superseded { status, unposted })
                    }
                    _ => Ok(outcome),
                };
            }
            Ok(Err(error)) => error,
            Err(reached) => return Err(DeliveryError::OutOfTime { reached, last }),
        };
        match error {
            SourceError::ResultRefused { .. } if matches!(outcome, Outcome::Succeeded { .. }) => {
                let reason = Chain(&error).to_string();
                tracing::error!(
                    error = reason,
                    storage_uri = claim.assignment.storage_uri,
                    "result refused, reporting the job as failed; its outputs are kept"
                );
                outcome = Outcome::Failed { reason };
                noted = limit.run(record.note(&outcome)).await.is_ok();
                continue;
            }
            // A report of a failure has no payload that could be refused, so retry; accept a refusal that persists.
            SourceError::ResultRefused { .. } | SourceError::Refused { .. } => {
                refusals += 1;
                if refusals == REFUSALS {
                    return Err(DeliveryError::Refused(error));
                }
            }
            // An account that is denied may get access again before the lease ends.
            SourceError::Unavailable { .. } | SourceError::Denied { .. } => {}
        }
        if !noted {
            noted = limit.run(record.note(&outcome)).await.is_ok();
        }
        let delay = delays
            .next()
            .unwrap_or_default()
            .max(error.retry_after().unwrap_or_default());
        tracing::warn!(error = %Chain(&error), delay_s = delay.as_secs_f64(), "outcome not delivered yet, trying again");
        if let Err(reached) = limit.run(tokio::time::sleep(delay)).await {
            return Err(DeliveryError::OutOfTime {
                reached,
                last: Some(error),
            });
        }
        observer.tried_again();
        last = Some(error);
    }
}
