//! Delivering an outcome, for as long as anybody may.

use std::time::Duration;

use super::limits::{Limit, Reached};
use crate::Chain;
use crate::job::{Claim, Outcome};
use crate::retry::RetryPolicy;
use crate::source::{Delivery, JobSource, SourceError};

const RETRY: RetryPolicy = RetryPolicy::new(Duration::from_millis(500))
    .cap(Duration::from_secs(15))
    .unlimited();

/// Why an outcome was not delivered.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeliveryError {
    /// The source will not take it, however often it is asked.
    #[error("the source refused the outcome")]
    Refused(#[source] SourceError),
    /// Time ran out.
    #[error("not delivered in time: {reached}")]
    OutOfTime {
        reached: Reached,
        #[source]
        last: Option<SourceError>,
    },
}

/// Delivers an outcome; a result that the source does not take becomes a failure. Returns the outcome
/// that was recorded.
pub(super) async fn deliver(
    source: &dyn JobSource,
    claim: &Claim,
    mut outcome: Outcome,
    limit: Limit<'_>,
) -> Result<Outcome, DeliveryError> {
    let mut delays = RETRY.delays();
    let mut last = None;
    loop {
        let error = match limit.run(source.deliver(claim, &outcome)).await {
            Ok(Ok(Delivery::Recorded)) => return Ok(outcome),
            Ok(Ok(Delivery::AlreadyRecorded)) => {
                if last.is_none() {
                    tracing::warn!("the source had an outcome for this assignment before");
                }
                return Ok(outcome);
            }
            Ok(Err(error)) => error,
            Err(reached) => return Err(DeliveryError::OutOfTime { reached, last }),
        };
        match error {
            SourceError::ResultRefused { .. } if matches!(outcome, Outcome::Succeeded { .. }) => {
                let reason = Chain(&error).to_string();
                tracing::error!(
                    error = reason,
                    "result refused, reporting the job as failed"
                );
                outcome = Outcome::Failed { reason };
                continue;
            }
            SourceError::ResultRefused { .. } | SourceError::Refused { .. } => {
                return Err(DeliveryError::Refused(error));
            }
            // An account that is denied now may be let in again before the lease ends.
            SourceError::Unavailable { .. } | SourceError::Denied { .. } => {}
        }
        let delay = delays
            .next()
            .unwrap_or_default()
            .max(error.retry_after().unwrap_or_default());
        tracing::warn!(error = %Chain(&error), ?delay, "outcome not delivered yet, trying again");
        if let Err(reached) = limit.run(tokio::time::sleep(delay)).await {
            return Err(DeliveryError::OutOfTime {
                reached,
                last: Some(error),
            });
        }
        last = Some(error);
    }
}
