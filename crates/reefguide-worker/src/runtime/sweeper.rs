//! Resolving the claims of dead workers while this one runs, and its own when it ends.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::shared::Shared;
use crate::Chain;
use crate::ledger::{Ledger, Limit, Recovery, SweepReport};
use crate::retry::{Growth, RetryPolicy};

/// Between tries to resolve what a stopping worker leaves.
const RESOLVE_RETRY: RetryPolicy = RetryPolicy::new(Duration::from_millis(500))
    .growth(Growth::Constant)
    .without_jitter()
    .unlimited();

/// Resolves the claims of dead workers until `stop` fires. A claim that it has begun to resolve is finished.
pub(super) async fn run_sweeper(shared: Arc<Shared>, records: Ledger, stop: CancellationToken) {
    let mut recovery =
        Recovery::of(shared.source.clone(), shared.storage.clone(), records).until(stop.clone());
    let interval = shared.options.record_interval;
    let mut warned = false;
    while !stop.is_cancelled() {
        match recovery.sweep().await {
            Ok(report) => {
                shared.observer.swept(&report);
                warned = false;
            }
            // A role without the permission to list will not get it from one sweep to the next.
            Err(error) if !warned => {
                tracing::warn!(error = %Chain(&error), "records of claims cannot be listed");
                warned = true;
            }
            Err(_) => {}
        }
        // Random, so that the workers of a fleet do not sweep at the same moment.
        let wait = tokio::time::sleep(interval.mul_f64(0.75 + fastrand::f64() / 2.0));
        stop.run_until_cancelled(wait).await;
    }
}

/// Resolves the claims that this worker leaves behind, until none is left or `limit` is reached.
pub(super) async fn resolve_orphans(shared: &Shared, records: &Ledger, limit: Limit<'_>) {
    let (source, storage) = (shared.source.clone(), shared.storage.clone());
    let recovery = Recovery::of(source, storage, records.clone());
    let resolve_all = || async {
        let mut left = false;
        for uri in records.orphans() {
            let Some((record, resolved)) = recovery.resolve(&uri).await else {
                continue;
            };
            left |= matches!(&resolved, Err(error) if error.is_retryable());
            let dead = vec![(record, resolved)];
            shared.observer.swept(&SweepReport::of_dead(dead));
        }
        if left { Err(()) } else { Ok(()) }
    };
    let resolving = RESOLVE_RETRY.run(resolve_all, |(), delay| Some(delay));
    if let Err(reached) = limit.run(resolving).await {
        tracing::warn!(reason = %reached, left = records.orphans().len(), "claims left to be resolved by their records");
    }
}
