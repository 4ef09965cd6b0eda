//! The stages of a shutdown.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// The part of the grace that is kept for ending what did not end by itself.
pub(super) fn reserve(grace: Duration) -> Duration {
    Duration::from_secs(8).min(grace / 2)
}

/// The stages of a shutdown, each a token that fires when it begins.
///
/// ```text
/// stop              cancel_jobs        end_uploads        give_up
///  │ running jobs    │ handlers end,    │ failures are     │
///  │ finish          │ uploads finish   │ delivered        │
///  ├─────────────────┼──────────────────┼──────────────────┤
///  0         grace − reserve    grace − reserve/2        grace
/// ```
#[derive(Clone, Debug)]
pub(super) struct Shutdown {
    /// No further job is claimed.
    pub(super) stop: CancellationToken,
    /// Handlers are cancelled.
    pub(super) cancel_jobs: CancellationToken,
    /// Outputs are no longer uploaded.
    pub(super) end_uploads: CancellationToken,
    /// Nothing is tried any more.
    pub(super) give_up: CancellationToken,
}

impl Shutdown {
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self {
            stop,
            cancel_jobs: CancellationToken::new(),
            end_uploads: CancellationToken::new(),
            give_up: CancellationToken::new(),
        }
    }

    /// Begins each stage at its time, once the first has begun.
    pub(super) async fn drive(self, grace: Duration) {
        self.stop.cancelled().await;
        let reserve = reserve(grace);
        tracing::info!(
            finish_s = (grace - reserve).as_secs_f64(),
            grace_s = grace.as_secs_f64(),
            "stopping: no further job is claimed, running jobs may finish"
        );
        tokio::time::sleep(grace - reserve).await;
        tracing::warn!("grace is nearly over: cancelling running jobs");
        self.cancel_jobs.cancel();
        tokio::time::sleep(reserve / 2).await;
        self.end_uploads.cancel();
        tokio::time::sleep(reserve / 2).await;
        self.give_up.cancel();
    }
}
