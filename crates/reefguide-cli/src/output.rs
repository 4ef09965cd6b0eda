//! What a command prints: results on stdout, where a failed write is an error, and everything else on stderr, where it
//! is not.

use std::fmt::Arguments;
use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice};
use clap::builder::styling::AnsiColor;
use comfy_table::{Cell, Color, Table, presets};
use jiff::Timestamp;
use reefguide_client::job::JobStatus;
use reefguide_client::{JobDetails, JobList};
use reefguide_terminal::stdout::{StdoutError, answer, answer_on};
use serde::Serialize;
use serde_json::json;

use crate::address;

/// How a command prints: as text, which is the default, or as JSON.
#[derive(Clone, Copy, Debug, Default)]
pub struct Output {
    pub(crate) json: bool,
}

impl Output {
    /// Prints a result, as JSON or as text.
    pub(crate) fn print<T: Serialize + ?Sized>(
        self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), StdoutError> {
        match serde_json::to_string_pretty(value) {
            Ok(pretty) if self.json => answer(pretty),
            _ => answer(text(value)),
        }
    }

    /// Prints one line of a result that is reported step by step.
    pub(crate) fn print_line<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), StdoutError> {
        self.print_line_on(io::stdout(), value, text)
    }

    /// Prints one line through a writer to stdout.
    pub(crate) fn print_line_on<T: Serialize>(
        self,
        stdout: impl Write,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), StdoutError> {
        match serde_json::to_string(value) {
            Ok(line) if self.json => answer_on(stdout, line),
            _ => answer_on(stdout, text(value)),
        }
    }

    /// Prints a line on stderr: text, or `{"note": …}`.
    pub(crate) fn note(self, note: Arguments<'_>) {
        self.note_on(io::stderr(), note);
    }

    /// Prints a note through a writer to stderr.
    pub(crate) fn note_on(self, mut stderr: impl Write, note: Arguments<'_>) {
        let note = address::redact(note.to_string());
        let note = match self.json {
            true => json!({ "note": note }).to_string(),
            false => note,
        };
        let _ = writeln!(stderr, "{note}");
    }

    /// Names the jobs of a list that cannot be read.
    pub(crate) fn note_unreadable(self, list: &JobList) {
        for JobDetails { job, .. } in &list.jobs {
            if let Some(why) = &job.unreadable {
                self.note(format_args!("job {} cannot be read: {why}", job.id));
            }
        }
        for what in &list.skipped {
            self.note(format_args!("left out: {what}"));
        }
    }

    /// Prints why the command fails with this exit code.
    pub(crate) fn error(self, error: &str, code: u8) {
        let error = address::redact(error);
        let error = match self.json {
            true => json!({ "error": error, "exitCode": code }).to_string(),
            false => format!("error: {error}"),
        };
        let _ = writeln!(io::stderr(), "{error}");
    }
}

/// Whether stdout is a terminal and NO_COLOR is not set.
fn has_colour() -> bool {
    AutoStream::choice(&io::stdout()) != ColorChoice::Never
}

/// A table with these headings, coloured if stdout is.
#[must_use]
pub fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(headings.iter().copied());
    match has_colour() {
        true => table.enforce_styling(),
        false => table.force_no_tty(),
    };
    table
}

/// A job's status in a [`table`], in its colour.
#[must_use]
pub fn status_cell(status: &JobStatus) -> Cell {
    let cell = Cell::new(status);
    match status {
        JobStatus::Succeeded => cell.fg(Color::DarkGreen),
        JobStatus::Failed | JobStatus::TimedOut => cell.fg(Color::DarkRed),
        JobStatus::InProgress => cell.fg(Color::DarkYellow),
        _ => cell,
    }
}

/// A job's status in a line, in its colour.
pub(crate) fn status(status: &JobStatus) -> String {
    let colour = match status {
        JobStatus::Succeeded => AnsiColor::Green,
        JobStatus::Failed | JobStatus::TimedOut => AnsiColor::Red,
        JobStatus::InProgress => AnsiColor::Yellow,
        _ => return status.to_string(),
    };
    match has_colour() {
        true => format!("{0}{status}{0:#}", colour.on_default()),
        false => status.to_string(),
    }
}

/// A time in UTC, to the second.
pub(crate) fn timestamp(at: Option<Timestamp>) -> String {
    at.map(|at| format!("{at:.0}")).unwrap_or_default()
}
