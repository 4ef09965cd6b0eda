//! Log lines: for people on a terminal, JSON otherwise.
//!
//! They go to stderr, so that commands can print their answer on stdout. ECS collects both. A thread writes them from a
//! bounded queue: if stderr is not read, lines are lost, but nothing waits.
//!
//! A JSON line has `timestamp` (RFC 3339, milliseconds, UTC), `level`, `target`, `message`, the
//! event's fields, and the fields of all spans around it, so that every line of a job carries
//! `job_id`, `job_type` and `assignment_id` at its top level. Of two equal names the inner one
//! stays: the event's before a span's. While traces are exported it has the `trace_id`, too.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt;
use std::io::IsTerminal;
use std::panic;
use std::str::FromStr;
use std::time::Duration;

use tracing::Subscriber;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{JsonFields, Writer};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::log_queue;
use crate::observe::job_log;
use crate::observe::json_lines::{JsonLines, timestamp};

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// [`LogFormat::Human`] on a terminal, [`LogFormat::Json`] otherwise.
    #[default]
    Auto,
    /// Compact lines for people.
    Human,
    /// One JSON object a line.
    Json,
}

impl FromStr for LogFormat {
    type Err = TelemetryError;

    fn from_str(name: &str) -> Result<Self, TelemetryError> {
        match name {
            "auto" => Ok(Self::Auto),
            "human" => Ok(Self::Human),
            "json" => Ok(Self::Json),
            _ => Err(TelemetryError::UnknownFormat { name: name.into() }),
        }
    }
}

/// What is logged and how.
#[derive(Clone, Debug)]
pub struct TelemetryOptions {
    /// The format of log lines.
    pub format: LogFormat,
    /// What is logged, in the directives of `RUST_LOG`: a level, or `info,my_worker=debug`.
    pub filter: String,
    /// Whether lines of jobs also go to the jobs' own logs, where the worker keeps those
    /// ([`JobLogs`](crate::runtime::JobLogs)); no.
    pub job_logs: bool,
}

impl Default for TelemetryOptions {
    fn default() -> Self {
        Self {
            format: LogFormat::Auto,
            filter: "info".into(),
            job_logs: false,
        }
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TelemetryError {
    /// There is no format of that name.
    #[error("unknown log format {name:?}: use auto, human or json")]
    UnknownFormat {
        /// The name given.
        name: String,
    },
    /// The filter cannot be parsed.
    #[error(
        "log filter {filter:?} is not valid: use a level or directives such as info,my_worker=debug"
    )]
    Filter {
        /// The filter given.
        filter: String,
        /// Why.
        source: ParseError,
    },
    /// The program has already set up logging, which stays in force.
    #[error(
        "logging is already set up: call init once, or leave it to the program around the worker"
    )]
    AlreadySet,
}

/// How long a panic waits for its line to be written, which may be the last of the process.
const PANIC_LINE: Duration = Duration::from_millis(100);

/// Waits on drop until all log lines are written, for at most a second.
#[derive(Debug)]
#[must_use = "keep it to the end of the program, so that its last lines are written"]
pub struct LogGuard(());

impl Drop for LogGuard {
    fn drop(&mut self) {
        log_queue::flush(log_queue::LAST_LINES);
    }
}

/// Sets up logging to stderr for the whole process. Each panic becomes one error event, in place of the standard text.
///
/// Logging never blocks. Up to 20,000 lines (8 MiB) wait to be written; further ones are dropped, and once half of
/// them are written a warning says how many. The guard is for the end of the program.
///
/// # Errors
/// If the filter is not valid, or if logging is already set up. Nothing is changed then.
pub fn init(options: &TelemetryOptions) -> Result<LogGuard, TelemetryError> {
    let terminal = std::io::stderr().is_terminal();
    install(subscriber(options, log_queue::stderr, terminal)?)?;
    Ok(LogGuard(()))
}

/// Sets a subscriber for the whole process, and logs panics.
pub(super) fn install(subscriber: impl Subscriber + Send + Sync) -> Result<(), TelemetryError> {
    tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryError::AlreadySet)?;
    log_panics();
    Ok(())
}

/// What [`init`] sets up, with another place to write to. `terminal` decides what
/// [`LogFormat::Auto`] is, and whether [`LogFormat::Human`] has colours.
///
/// # Errors
/// If the filter is not valid.
pub fn subscriber<W>(
    options: &TelemetryOptions,
    writer: W,
    terminal: bool,
) -> Result<impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync + use<W>, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = || {
        let parsed = EnvFilter::builder().parse(&options.filter);
        parsed.map_err(|source| TelemetryError::Filter {
            filter: options.filter.clone(),
            source,
        })
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let human = match options.format {
        LogFormat::Auto => terminal,
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    let lines: Box<dyn Layer<Registry> + Send + Sync> = if human {
        lines
            .compact()
            .with_timer(Clock)
            .with_ansi(terminal)
            .boxed()
    } else {
        lines
            .fmt_fields(JsonFields::new())
            .event_format(JsonLines)
            .boxed()
    };
    let job_logs = match options.job_logs {
        true => Some(job_log::layer().with_filter(filter()?)),
        false => None,
    };
    Ok(tracing_subscriber::registry()
        .with(lines.with_filter(filter()?))
        .with(job_logs))
}

/// Turns every panic into one error event with its message and place; with `RUST_BACKTRACE=1` also
/// with its backtrace. The event is in the span the panic happened in.
fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
        tracing::error!(
            panic = panic.payload_as_str().unwrap_or("(no message)"),
            location = panic.location().map(tracing::field::display),
            backtrace = backtrace.map(tracing::field::display),
            "panicked"
        );
        log_queue::flush(PANIC_LINE);
    }));
}

struct Clock;

impl FormatTime for Clock {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        writer.write_str(&timestamp())
    }
}
