//! Counting how often a request is tried, and the span that it is in.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

use tracing::{Instrument, field};

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::{BoxError, ProvideErrorMetadata, SdkError};

use crate::{StorageUri, Tried};
use reefguide_transport::retry::RetryObserver;
use reefguide_transport::trace;

tokio::task_local! {
    /// The attempts so far for what the task waits for.
    static ATTEMPTS: Cell<u32>;
}

/// Counts one more attempt.
pub(super) fn begun() {
    // Nobody counts those of a request that is sent outside of `Tries::count`.
    let _ = ATTEMPTS.try_with(|attempts| attempts.set(attempts.get() + 1));
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
        begun();
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
    pub(super) async fn count<T, E: ProvideErrorMetadata>(
        &mut self,
        retries: Option<&dyn RetryObserver>,
        uri: &StorageUri,
        request: Pin<Box<impl Future<Output = Result<T, SdkError<E>>>>>,
    ) -> Result<T, SdkError<E>> {
        let span = tracing::debug_span!(
            "s3",
            otel.name = format!("S3.{}", operation::<T>()),
            otel.kind = "client",
            rpc.system = "aws-api",
            rpc.method = operation::<T>(),
            http.response.status_code = field::Empty,
            attempts = field::Empty,
            aws.s3.bucket = uri.bucket(),
            aws.s3.key = uri.key(),
        );
        let counted = async {
            let answer = request.await;
            (answer, ATTEMPTS.get().get())
        };
        let counted = ATTEMPTS.scope(Cell::new(self.attempts), counted);
        let (answer, attempts) = counted.instrument(span.clone()).await;
        if let Some(retries) = retries {
            retries.tried_again(attempts.saturating_sub(self.attempts.max(1)).into());
        }
        self.attempts = attempts;
        if span.is_disabled() {
            return answer;
        }
        span.record("attempts", i64::from(attempts));
        if let Err(error) = &answer {
            if let Some(response) = error.raw_response() {
                let status = i64::from(response.status().as_u16());
                span.record("http.response.status_code", status);
            }
            trace::failed(&span, error.code().unwrap_or("no answer"));
        }
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

/// What a request is called, by the type of its answer: `PutObject`, for one.
fn operation<T>() -> &'static str {
    let answer = std::any::type_name::<T>();
    let answer = answer.rsplit("::").next().unwrap_or(answer);
    answer.strip_suffix("Output").unwrap_or(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::operation::put_object::PutObjectOutput;

    #[test]
    fn a_request_is_called_what_s3_calls_it() {
        assert_eq!(operation::<PutObjectOutput>(), "PutObject");
    }
}
