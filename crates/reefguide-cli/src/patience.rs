//! Waiting while the API cannot be reached, or asks to be left alone.

use std::fmt::Arguments;
use std::time::Duration;

use reefguide_worker::Chain;
use reefguide_worker::retry::RetryPolicy;
use reefguide_worker::source::reefguide::ApiError;

/// About five minutes in all, unless the API asks for more.
const PATIENCE: RetryPolicy = RetryPolicy::new(Duration::from_secs(2)).tries(20);

/// Makes a call until it succeeds, is refused, or has been tried long enough; `note` is told of each wait.
pub(crate) async fn patiently<T>(
    call: impl AsyncFn() -> Result<T, ApiError>,
    note: impl Fn(Arguments<'_>),
) -> Result<T, ApiError> {
    let mut delays = PATIENCE.delays();
    loop {
        let error = match call().await {
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
