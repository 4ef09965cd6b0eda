//! What can cut a step of a job short: the end of its lease, of its time limit or of its claim, or a shutdown.

use std::fmt;

use futures_util::FutureExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The limit of a step.
#[derive(Clone, Copy, Debug)]
pub struct Limit<'a> {
    /// Fires when the worker shuts down.
    pub shutdown: &'a CancellationToken,
    /// The latest moment at which the step may end, and why.
    pub end: Option<(Instant, Reached)>,
    /// Fires when the claim ends, so that there is no use for an outcome.
    pub ended: Option<&'a CancellationToken>,
}

/// The reason why a step was cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// The worker shuts down.
    Shutdown,
    /// The lease of the claim runs out.
    Lease,
    /// The job has taken as long as its type allows.
    TimeLimit,
    /// The time for resolving one claim of a dead worker is over.
    Recovery,
    /// The claim has ended.
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

    /// Runs a step, and drops it if the limit is reached first. A step does not start once its limit is reached.
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
    async fn a_step_does_not_start_after_its_limit() {
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
