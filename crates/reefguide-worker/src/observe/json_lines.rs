//! Log lines as JSON, with the fields of an event and of all spans around it at the top level of one object.
//!
//! If two fields have the same name, the inner one is kept: the event's before a span's.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{FormatFields, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};

use crate::trace;

/// The time of a log line.
pub(crate) fn timestamp() -> String {
    format!("{:.3}", Timestamp::now())
}

/// One JSON object per line.
pub(crate) struct JsonLines;

impl<S> FormatEvent<S, JsonFields> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Map::new();
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            if let Some(formatted) = span.extensions().get::<FormattedFields<JsonFields>>() {
                merge(&mut fields, &formatted.fields);
            }
        }
        let mut own = String::new();
        context
            .field_format()
            .format_fields(Writer::new(&mut own), event)?;
        merge(&mut fields, &own);
        if let Some(id) = trace::id() {
            fields.entry("trace_id").or_insert_with(|| id.into());
        }

        let head = [
            ("timestamp", Some(timestamp().into())),
            ("level", Some(event.metadata().level().as_str().into())),
            ("target", Some(event.metadata().target().into())),
            ("message", fields.remove("message")),
        ];
        let mut separator = '{';
        let head = head
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        for (name, value) in head {
            fields.remove(name);
            write!(writer, "{separator}\"{name}\":{value}")?;
            separator = ',';
        }
        for (name, value) in fields {
            write!(writer, ",{}:{value}", Value::from(name))?;
        }
        writeln!(writer, "}}")
    }
}

/// Adds the members of a JSON object in text form.
fn merge(fields: &mut Map<String, Value>, object: &str) {
    if let Ok(Value::Object(members)) = serde_json::from_str(object) {
        fields.extend(members);
    }
}
