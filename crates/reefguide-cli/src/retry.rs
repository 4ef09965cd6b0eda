//! Trying again while the API cannot be reached or asks for a pause.

use std::fmt::Arguments;
use std::time::Duration;

use reefguide_client::ApiError;
use reefguide_transport::Chain;
use reefguide_transport::retry::RetryPolicy;

/// About five minutes in all, unless the API asks for more.
const RETRIES: RetryPolicy = RetryPolicy::new(Duration::from_secs(2)).tries(20);

/// Repeats a request until it succeeds, is refused or runs out of tries, and calls `note` before each wait.
pub(crate) async fn with_retries<T, F: Future<Output = Result<T, ApiError>>>(
    request: impl FnMut() -> F,
    note: impl Fn(Arguments<'_>),
) -> Result<T, ApiError> {
    let wait = |error: &ApiError, delay: Duration| {
        error.is_retryable().then(|| {
            let wait = delay.max(error.retry_after().unwrap_or_default());
            let seconds = wait.as_secs_f64();
            note(format_args!("{} (waiting {seconds:.0} s)", Chain(error)));
            wait
        })
    };
    RETRIES.run(request, wait).await
}
