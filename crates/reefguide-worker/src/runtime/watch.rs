//! Watching whether the claim of a running job still stands.

use std::time::Duration;

use crate::Chain;
use crate::health::Health;
use crate::job::Claim;
use crate::source::{JobSource, Standing};

/// Asks every now and then, and returns why nobody waits for the outcome any more: a job that is gone has to be so
/// twice in a row. Cancel safe.
pub(super) async fn ended(
    source: &dyn JobSource,
    health: &Health,
    claim: &Claim,
    interval: Option<Duration>,
) -> String {
    let Some(interval) = interval else {
        return std::future::pending().await;
    };
    let mut was_gone = false;
    loop {
        // At random, so that a fleet's questions spread.
        let wait = interval.mul_f64(0.75 + fastrand::f64() / 2.0);
        tokio::time::sleep(wait).await;
        let standing = source.standing(claim).await;
        if standing.is_ok() {
            health.contact();
        }
        let is_gone = matches!(standing, Ok(Standing::Gone));
        match standing {
            Ok(Standing::Held) => {}
            Ok(Standing::Ended { reason }) => return reason,
            Ok(Standing::Gone) if was_gone => return "the job is gone".to_owned(),
            Ok(Standing::Gone) => {
                tracing::warn!("the job seems to be gone, asking again");
            }
            // The job goes on: whether it is wanted will be seen next time, or when it is reported.
            Err(error) => {
                tracing::debug!(error = %Chain(&error), "cannot tell whether the claim stands");
            }
        }
        was_gone = is_gone;
    }
}
