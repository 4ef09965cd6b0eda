//! The stages of a shutdown.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The part of the grace that is reserved for jobs that have to be cancelled.
pub(super) fn reserve(grace: Duration) -> Duration {
    Duration::from_secs(8).min(grace / 2)
}

/// The stages of a shutdown, each with a token that fires when the stage begins.
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
    /// Uploads of outputs end.
    pub(super) end_uploads: CancellationToken,
    /// Deliveries end.
    pub(super) give_up: CancellationToken,
    requested: Arc<OnceLock<Instant>>,
}

/// How long a shutdown spent in each of its stages.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Spent {
    /// Waiting for running jobs to finish.
    pub(super) finish: Duration,
    /// Cancelling jobs and waiting for uploads to finish.
    pub(super) cancel: Duration,
    /// Delivering failures.
    pub(super) deliver: Duration,
}

impl Shutdown {
    pub(super) fn new(stop: CancellationToken) -> Self {
        Self {
            stop,
            cancel_jobs: CancellationToken::new(),
            end_uploads: CancellationToken::new(),
            give_up: CancellationToken::new(),
            requested: Arc::default(),
        }
    }

    /// How the time from the request to stop until `end` was spent.
    pub(super) fn spent(&self, end: Instant, grace: Duration) -> Spent {
        let Some(requested) = self.requested.get() else {
            return Spent::default();
        };
        let all = end.saturating_duration_since(*requested);
        let reserve = reserve(grace);
        let finish = all.min(grace - reserve);
        let cancel = (all - finish).min(reserve / 2);
        Spent {
            finish,
            cancel,
            deliver: all - finish - cancel,
        }
    }

    /// Begins each stage at its time, once the first has begun.
    pub(super) async fn drive(self, grace: Duration) {
        self.stop.cancelled().await;
        let _ = self.requested.set(Instant::now());
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_stage_begins_at_its_time_and_the_time_in_each_is_known() {
        let grace = Duration::from_secs(25);
        let shutdown = Shutdown::new(CancellationToken::new());
        assert_eq!(shutdown.spent(Instant::now(), grace), Spent::default());
        shutdown.stop.cancel();
        let asked = Instant::now();
        tokio::spawn(shutdown.clone().drive(grace));
        for (stage, begins) in [
            (&shutdown.cancel_jobs, 17),
            (&shutdown.end_uploads, 21),
            (&shutdown.give_up, 25),
        ] {
            stage.cancelled().await;
            assert_eq!(asked.elapsed(), Duration::from_secs(begins));
        }
        let spent = |seconds| {
            let Spent {
                finish,
                cancel,
                deliver,
            } = shutdown.spent(asked + Duration::from_secs(seconds), grace);
            [finish, cancel, deliver].map(|stage| stage.as_secs())
        };
        assert_eq!(spent(3), [3, 0, 0]);
        assert_eq!(spent(19), [17, 2, 0]);
        assert_eq!(spent(25), [17, 4, 4]);
    }
}
