//! Waiting while the API cannot be reached, or asks to be left alone.

use std::fmt::Arguments;
use std::time::Duration;

use reefguide_client::ApiError;
use reefguide_transport::Chain;
use reefguide_transport::retry::RetryPolicy;

/// About five minutes in all, unless the API asks for more.
const PATIENCE: RetryPolicy = RetryPolicy::new(Duration::from_secs(2)).tries(20);

/// Makes a call until it succeeds, is refused, or has been tried long enough; `note` is told of each wait.
pub(crate) async fn patiently<T, F: Future<Output = Result<T, ApiError>>>(
    call: impl FnMut() -> F,
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
    PATIENCE.run(call, wait).await
}
