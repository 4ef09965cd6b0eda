//! What may cut a step of a job short: its lease, its claim's end, or the worker's shutdown.

use std::fmt;

use futures_util::FutureExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A step's limit.
#[derive(Clone, Copy, Debug)]
pub struct Limit<'a> {
    /// Fires when the worker shuts down.
    pub shutdown: &'a CancellationToken,
    /// The moment after which it is too late, and why.
    pub end: Option<(Instant, Reached)>,
    /// Fires when nobody waits for the outcome any more.
    pub ended: Option<&'a CancellationToken>,
}

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// The worker shuts down.
    Shutdown,
    /// The lease of its claim.
    Lease,
    /// The time that its type's jobs may take.
    TimeLimit,
    /// The time for settling one claim of a dead worker.
    Recovery,
    /// Its claim has ended.
    Ended,
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shutdown => "the worker is shutting down",
            Self::Lease => "its lease is running out",
            Self::TimeLimit => "its time limit is over",
            Self::Recovery => "it takes too long for now",
            Self::Ended => "its claim has ended",
        })
    }
}

impl Limit<'_> {
    /// Waits until the limit is reached.
    pub async fn reached(self) -> Reached {
        let end = async {
            match self.end {
                Some((end, reached)) => {
                    tokio::time::sleep_until(end).await;
                    reached
                }
                None => std::future::pending().await,
            }
        };
        let ended = async {
            match self.ended {
                Some(ended) => ended.cancelled().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.shutdown.cancelled() => Reached::Shutdown,
            reached = end => reached,
            () = ended => Reached::Ended,
        }
    }

    /// Does a step, unless the limit is reached before it is done; then the step is dropped. Past the
    /// limit it is not begun.
    pub async fn run<T>(self, step: impl Future<Output = T>) -> Result<T, Reached> {
        if let Some(reached) = self.reached().now_or_never() {
            return Err(reached);
        }
        tokio::select! {
            biased;
            done = step => Ok(done),
            reached = self.reached() => Err(reached),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn for_a_second(shutdown: &CancellationToken) -> Limit<'_> {
        Limit {
            shutdown,
            end: Some((Instant::now() + Duration::from_secs(1), Reached::Lease)),
            ended: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn past_its_limit_a_step_is_not_begun() {
        let shutdown = CancellationToken::new();
        let limit = for_a_second(&shutdown);
        assert_eq!(limit.run(async { "done" }).await, Ok("done"));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(limit.run(async { "done" }).await, Err(Reached::Lease));
        shutdown.cancel();
        let unlimited = Limit {
            end: None,
            ..for_a_second(&shutdown)
        };
        assert_eq!(
            unlimited.run(async { "done" }).await,
            Err(Reached::Shutdown)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_takes_longer_is_dropped() {
        let shutdown = CancellationToken::new();
        let limit = for_a_second(&shutdown);
        let endless = std::future::pending::<()>();
        assert_eq!(limit.run(endless).await, Err(Reached::Lease));
    }
}
