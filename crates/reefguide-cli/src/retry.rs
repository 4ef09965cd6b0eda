//! Trying again while the API cannot be reached or asks for a pause.

use std::fmt::Arguments;
use std::time::Duration;

use reefguide_worker::Chain;
use reefguide_worker::retry::RetryPolicy;
use reefguide_worker::source::reefguide::ApiError;

/// About five minutes in all, unless the API asks for more.
const RETRIES: RetryPolicy = RetryPolicy::new(Duration::from_secs(2)).tries(20);

/// Repeats a request until it succeeds, is refused or runs out of tries, and calls `note` before each wait.
pub(crate) async fn with_retries<T>(
    request: impl AsyncFn() -> Result<T, ApiError>,
    note: impl Fn(Arguments<'_>),
) -> Result<T, ApiError> {
    let mut delays = RETRIES.delays();
    loop {
        let error = match request().await {
            Err(error) if error.is_retryable() => error,
            done => return done,
        };
        let Some(delay) = delays.next() else {
            return Err(error);
        };
        let wait = delay.max(error.retry_after().unwrap_or_default());
        let seconds = wait.as_secs_f64();
        note(format_args!("{} (waiting {seconds:.0} s)", Chain(&error)));
        tokio::time::sleep(wait).await;
    }
}
