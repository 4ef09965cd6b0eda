//! Counting how often a request is tried.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;

use prometheus_client::metrics::counter::Counter;

use crate::storage::Tried;

tokio::task_local! {
    /// The attempts so far for what the task waits for.
    static ATTEMPTS: Cell<u32>;
}

/// Counts the attempts of all requests of a client.
#[derive(Debug)]
pub(super) struct CountAttempts;

impl Intercept for CountAttempts {
    fn name(&self) -> &'static str {
        "CountAttempts"
    }

    // The SDK runs a request, and so this, on the task that waits for it.
    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // Nobody counts those of a request that is sent outside of `Tries::count`.
        let _ = ATTEMPTS.try_with(|attempts| attempts.set(attempts.get() + 1));
        Ok(())
    }
}

/// How often and since when something is tried, by one request or by several, one after another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tries {
    attempts: u32,
    since: Instant,
}

impl Tries {
    pub(super) fn begin() -> Self {
        Self {
            attempts: 0,
            since: Instant::now(),
        }
    }

    /// Waits for a request and counts its attempts, those after the first in `retries` too. It is boxed:
    /// the SDK's futures are large, and each one around them would hold them twice.
    pub(super) async fn count<T>(
        &mut self,
        retries: &Counter,
        request: Pin<Box<impl Future<Output = T>>>,
    ) -> T {
        let counted = async {
            let answer = request.await;
            (answer, ATTEMPTS.get().get())
        };
        let (answer, attempts) = ATTEMPTS.scope(Cell::new(self.attempts), counted).await;
        retries.inc_by(attempts.saturating_sub(self.attempts.max(1)).into());
        self.attempts = attempts;
        answer
    }

    /// What came of it, with the server's word for that.
    pub(super) fn tried(&self, code: Option<&str>) -> Box<Tried> {
        Box::new(Tried {
            attempts: self.attempts,
            elapsed: self.since.elapsed(),
            code: code.map(Box::from),
        })
    }
}
