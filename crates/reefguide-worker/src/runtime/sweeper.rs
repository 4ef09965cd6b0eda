//! Resolving the claims of dead workers while this one runs, and its own when it ends.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::worker::Shared;
use crate::Chain;
use crate::ledger::{Ledger, Limit, Recovery, SweepReport};

/// Between two tries to resolve what a stopping worker leaves.
const TRY_AGAIN: Duration = Duration::from_millis(500);

/// Looks after the claims of dead workers until it is to stop; what it has begun to settle, it settles.
pub(super) async fn run_sweeper(shared: Arc<Shared>, records: Ledger, stop: CancellationToken) {
    let mut recovery =
        Recovery::of(shared.source.clone(), shared.storage.clone(), records).until(stop.clone());
    let interval = shared.options.record_interval;
    let mut complained = false;
    while !stop.is_cancelled() {
        match recovery.sweep().await {
            Ok(report) => {
                shared.metrics.recovered(shared.counters.recovered(&report));
                complained = false;
            }
            // A role that may not list will not be allowed to from one look to the next.
            Err(error) if !complained => {
                tracing::warn!(error = %Chain(&error), "records of claims cannot be listed");
                complained = true;
            }
            Err(_) => {}
        }
        // At random, so that a fleet does not look at the same moment.
        let wait = tokio::time::sleep(interval.mul_f64(0.75 + fastrand::f64() / 2.0));
        stop.run_until_cancelled(wait).await;
    }
}

/// Settles what this worker itself leaves behind, until nothing is left or `limit` is reached.
pub(super) async fn resolve_orphans(shared: &Shared, records: &Ledger, limit: Limit<'_>) {
    let (source, storage) = (shared.source.clone(), shared.storage.clone());
    let recovery = Recovery::of(source, storage, records.clone());
    let resolving = async {
        loop {
            let mut left = false;
            for uri in records.orphans() {
                let Some((record, resolved)) = recovery.resolve(&uri).await else {
                    continue;
                };
                left |= matches!(&resolved, Err(error) if error.is_retryable());
                let dead = vec![(record, resolved)];
                let recovered = shared.counters.recovered(&SweepReport::of_dead(dead));
                shared.metrics.recovered(recovered);
            }
            if !left {
                break;
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
    };
    if let Err(reached) = limit.run(resolving).await {
        tracing::warn!(reason = %reached, left = records.orphans().len(), "claims left to be resolved by their records");
    }
}
