//! Leaves out polls that find nothing: there is one every two seconds.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::trace::{SpanId, SpanKind, Status, TraceContextExt, TraceId};
use opentelemetry::{Context, Value};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

/// Passes on spans to export, except polls that find nothing, and calls outside of jobs and polls, such as those for
/// the records of other workers.
#[derive(Debug)]
pub(super) struct Polls<P> {
    next: P,
    /// Ended spans of traces whose root is a poll that has not ended.
    held: Mutex<HashMap<TraceId, Vec<SpanData>>>,
}

impl<P> Polls<P> {
    pub(super) fn new(next: P) -> Self {
        Self {
            next,
            held: Mutex::default(),
        }
    }

    fn held(&self) -> MutexGuard<'_, HashMap<TraceId, Vec<SpanData>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: SpanProcessor> SpanProcessor for Polls<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        let is_root = !context.span().span_context().is_valid();
        if is_root
            && let Some(data) = span.exported_data()
            && data.name == "poll"
        {
            self.held().insert(data.span_context.trace_id(), Vec::new());
        }
        self.next.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        let trace = span.span_context.trace_id();
        let is_root = span.parent_span_id == SpanId::INVALID;
        let mut held = self.held();
        if is_root {
            let of_poll = held.remove(&trace);
            drop(held);
            let wanted = match &of_poll {
                Some(_) => found_jobs(&span) || matches!(span.status, Status::Error { .. }),
                None => span.span_kind != SpanKind::Client,
            };
            if wanted {
                let spans = of_poll.into_iter().flatten().chain([span]);
                spans.for_each(|span| self.next.on_end(span));
            }
            return;
        }
        match held.get_mut(&trace) {
            Some(spans) => spans.push(span),
            None => {
                drop(held);
                self.next.on_end(span);
            }
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.next.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.next.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.next.set_resource(resource);
    }
}

fn found_jobs(poll: &SpanData) -> bool {
    let jobs = poll
        .attributes
        .iter()
        .find(|attribute| attribute.key.as_str() == "jobs");
    jobs.is_some_and(|jobs| jobs.value != Value::I64(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{Tracer, TracerProvider};
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use std::sync::Arc;

    /// Keeps the names of the spans that are passed on.
    #[derive(Clone, Debug, Default)]
    struct Names(Arc<Mutex<Vec<String>>>);

    impl SpanProcessor for Names {
        fn on_start(&self, _: &mut Span, _: &Context) {}

        fn on_end(&self, span: SpanData) {
            self.0.lock().unwrap().push(span.name.into());
        }

        fn force_flush(&self) -> OTelSdkResult {
            Ok(())
        }

        fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
            Ok(())
        }
    }

    #[test]
    fn a_poll_is_exported_if_it_found_jobs_or_failed_and_a_call_if_it_belongs_to_a_job_or_poll() {
        let names = Names::default();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Polls::new(names.clone()))
            .build();
        let tracer = provider.tracer("test");
        let call = |name: &'static str, parent: &Context| {
            let call = tracer.span_builder(name).with_kind(SpanKind::Client);
            drop(call.start_with_context(&tracer, parent));
        };
        let trace = |root: &'static str, name: &'static str, jobs: Option<i64>| {
            let mut root = tracer.span_builder(root);
            root.attributes = jobs.map(|jobs| vec![opentelemetry::KeyValue::new("jobs", jobs)]);
            let root = Context::new().with_span(root.start_with_context(&tracer, &Context::new()));
            call(name, &root);
            root
        };
        drop(trace("poll", "idle", Some(0)));
        drop(trace("poll", "stopped", None));
        drop(trace("poll", "busy", Some(2)));
        let failing = trace("poll", "broken", None);
        failing.span().set_status(Status::error("away"));
        drop(failing);
        drop(trace("job", "assign", None));
        call("orphan", &Context::new());
        let names = names.0.lock().unwrap();
        assert_eq!(*names, ["busy", "poll", "broken", "poll", "assign", "job"]);
    }
}
