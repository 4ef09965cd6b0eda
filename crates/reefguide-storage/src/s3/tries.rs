//! Counts how often a request is tried, in its own span.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

use tracing::{Instrument, field};

use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::{BoxError, ProvideErrorMetadata, SdkError};

use crate::{RequestTries, StorageUri};
use reefguide_transport::retry::RetryObserver;
use reefguide_transport::trace;

tokio::task_local! {
    /// The tries so far of the request that the task waits for.
    static TRIES: Cell<u32>;
}

/// Counts one more try.
pub(super) fn begun() {
    // Outside of `Tries::count` there is no count.
    let _ = TRIES.try_with(|tries| tries.set(tries.get() + 1));
}

/// Counts the tries of all requests of a client.
#[derive(Debug)]
pub(super) struct CountTries;

impl Intercept for CountTries {
    fn name(&self) -> &'static str {
        "CountTries"
    }

    // The SDK runs a request, and so this hook, on the task that waits for it.
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

/// How often and since when something is tried, in one request or in several that follow each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tries {
    tries: u32,
    since: Instant,
}

impl Tries {
    pub(super) fn begin() -> Self {
        Self {
            tries: 0,
            since: Instant::now(),
        }
    }

    /// Waits for a request and counts its tries; tells `retries` about those after the first. The request is boxed
    /// since the SDK's futures are large, and each future around one would hold it twice.
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
            (answer, TRIES.get().get())
        };
        let counted = TRIES.scope(Cell::new(self.tries), counted);
        let (answer, tries) = counted.instrument(span.clone()).await;
        if let Some(retries) = retries {
            retries.tried_again(tries.saturating_sub(self.tries.max(1)).into());
        }
        self.tries = tries;
        if span.is_disabled() {
            return answer;
        }
        span.record("attempts", i64::from(tries));
        if let Err(error) = &answer {
            if let Some(response) = error.raw_response() {
                let status = i64::from(response.status().as_u16());
                span.record("http.response.status_code", status);
            }
            trace::failed(&span, error.code().unwrap_or("no answer"));
        }
        answer
    }

    /// The tries so far.
    pub(super) fn summary(&self) -> RequestTries {
        RequestTries {
            tries: self.tries,
            elapsed: self.since.elapsed(),
            code: None,
        }
    }
}

/// The name of the operation that has an answer of this type, such as `PutObject`.
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
    fn an_operation_has_the_name_that_s3_gives_it() {
        assert_eq!(operation::<PutObjectOutput>(), "PutObject");
    }
}
