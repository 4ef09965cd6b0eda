//! What may cut a step of a job short: its lease, or the worker's shutdown.

use std::fmt;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// A step's limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit<'a> {
    pub(crate) shutdown: &'a CancellationToken,
    pub(crate) lease: Option<Instant>,
}

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    Shutdown,
    Lease,
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shutdown => "the worker is shutting down",
            Self::Lease => "its lease is running out",
        })
    }
}

impl Limit<'_> {
    /// Waits until the limit is reached.
    pub(crate) async fn reached(self) -> Reached {
        let lease = async {
            match self.lease {
                Some(end) => tokio::time::sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = self.shutdown.cancelled() => Reached::Shutdown,
            () = lease => Reached::Lease,
        }
    }

    /// Does a step, unless the limit is reached before it is done; then the step is dropped.
    pub(crate) async fn run<T>(self, step: impl Future<Output = T>) -> Result<T, Reached> {
        tokio::select! {
            biased;
            done = step => Ok(done),
            reached = self.reached() => Err(reached),
        }
    }
}
