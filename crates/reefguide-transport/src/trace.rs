//! The traces that spans belong to, and the way they go from one process to another: as the headers of W3C
//! Trace Context, `traceparent` and `tracestate`. Without the feature `otel` there are no traces, and nothing
//! here does anything.

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

/// The headers by which a trace is handed on; none of them outside of a trace.
pub type Headers = HashMap<String, String>;

/// The headers that a job's submitter has put into its payload.
pub fn of_payload(payload: &Value) -> Headers {
    ["traceparent", "tracestate"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), payload.get(name)?.as_str()?.to_owned())))
        .collect()
}

/// Lets a span that has just been made go on with the trace of these headers, or begin one if they name
/// none.
pub fn join(span: &Span, headers: &Headers) {
    #[cfg(feature = "otel")]
    {
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), headers);
        // It fails if nothing is exported.
        let _ = span.set_parent(parent);
    }
    #[cfg(not(feature = "otel"))]
    let _ = (span, headers);
}

/// The headers of the span that this is called in.
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

/// The trace of the span that this is called in, as log lines name it.
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

/// Notes that what a span stands for has failed.
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
    fn a_payload_may_name_a_trace() {
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
