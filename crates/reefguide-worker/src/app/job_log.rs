//! Logging into the logs of single jobs.

use std::fmt;
use std::io;

use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent};
use tracing_subscriber::registry::LookupSpan;

use super::telemetry::JsonLines;
use crate::observe::job_log::Lines;

/// A layer that adds each line of a job whose log is kept to that log, as JSON.
pub(super) fn layer<S>() -> impl Layer<S> + Send + Sync
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_subscriber::fmt::layer()
        .with_writer(io::sink)
        .fmt_fields(JsonFields::new())
        .event_format(ToJobLog)
}

struct ToJobLog;

impl<S> FormatEvent<S, JsonFields> for ToJobLog
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        _: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut spans = context.event_scope().into_iter().flatten();
        let Some(lines) = spans.find_map(|span| span.extensions().get::<Lines>().cloned()) else {
            return Ok(());
        };
        let mut line = String::new();
        JsonLines.format_event(context, Writer::new(&mut line), event)?;
        lines.add(line.as_bytes());
        Ok(())
    }
}
