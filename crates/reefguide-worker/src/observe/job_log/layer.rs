//! The tracing layer that writes into job logs.

use std::fmt;
use std::io;

use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent};
use tracing_subscriber::registry::LookupSpan;

use super::lines::Lines;
use crate::observe::json_lines::JsonLines;

/// A layer that adds the lines of each job to the job's log, as JSON, if that log is kept.
pub(crate) fn layer<S>() -> impl Layer<S> + Send + Sync
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
