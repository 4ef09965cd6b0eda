//! Passes traces from one process to another, in the W3C Trace Context headers `traceparent` and
//! `tracestate`. Without the feature `otel` there are no traces, and nothing here has an effect.

use std::collections::HashMap;
use std::fmt::Display;

use serde_json::Value;
use tracing::Span;

#[cfg(feature = "otel")]
use {
    opentelemetry::Context,
    opentelemetry::propagation::TextMapPropagator,
    opentelemetry::trace::{Status, TraceContextExt},
    opentelemetry_sdk::propagation::TraceContextPropagator,
    tracing_opentelemetry::OpenTelemetrySpanExt,
};

/// The headers that pass on a trace; empty outside of a trace.
pub type Headers = HashMap<String, String>;

/// The headers in a job's payload, from its submitter.
pub fn of_payload(payload: &Value) -> Headers {
    ["traceparent", "tracestate"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), payload.get(name)?.as_str()?.to_owned())))
        .collect()
}

/// Lets a new span continue the trace of these headers, or begin a trace if there are none.
pub fn join(span: &Span, headers: &Headers) {
    #[cfg(feature = "otel")]
    {
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), headers);
        // It fails if no traces are exported.
        let _ = span.set_parent(parent);
    }
    #[cfg(not(feature = "otel"))]
    let _ = (span, headers);
}

/// The headers for the current span.
pub fn headers() -> Headers {
    #[cfg(feature = "otel")]
    {
        let mut headers = Headers::new();
        TraceContextPropagator::new().inject_context(&Context::current(), &mut headers);
        headers.retain(|_, value| !value.is_empty());
        headers
    }
    #[cfg(not(feature = "otel"))]
    Headers::new()
}

/// The id of the current span's trace, as in log lines.
pub fn id() -> Option<String> {
    #[cfg(feature = "otel")]
    {
        let context = Context::current();
        let span = context.span();
        let span = span.span_context();
        span.is_valid().then(|| span.trace_id().to_string())
    }
    #[cfg(not(feature = "otel"))]
    None
}

/// Marks a span as failed.
pub fn failed(span: &Span, why: impl Display) {
    #[cfg(feature = "otel")]
    if !span.is_disabled() {
        span.set_status(Status::error(why.to_string()));
    }
    #[cfg(not(feature = "otel"))]
    let _ = (span, why);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_payload_may_have_the_headers_of_a_trace() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let headers = of_payload(&json!({ "id": 1, "traceparent": parent, "tracestate": 7 }));
        assert_eq!(
            headers,
            Headers::from([("traceparent".into(), parent.into())])
        );
        for payload in [json!({ "id": 1 }), json!("traceparent"), json!(null)] {
            assert_eq!(of_payload(&payload), Headers::new(), "{payload}");
        }
    }
}
