//! What is printed: results on stdout, which are written or an error, and everything else on stderr, which nobody
//! may read.

use std::fmt::Arguments;
use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice};
use clap::builder::styling::AnsiColor;
use comfy_table::{Cell, Color, Table, presets};
use jiff::Timestamp;
use reefguide_client::job::JobStatus;
use reefguide_client::{JobDetails, JobList};
use reefguide_terminal::stdout::{StdoutError, answer};
use serde::Serialize;
use serde_json::json;

use crate::address;

/// How a command says what it has to say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
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

    /// Prints one line of a result that comes bit by bit.
    pub(crate) fn print_line<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), StdoutError> {
        answer(self.line(value, text))
    }

    /// One line of a result that comes bit by bit.
    pub(crate) fn line<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) -> String {
        match serde_json::to_string(value) {
            Ok(line) if self.json => line,
            _ => text(value),
        }
    }

    /// Prints a line for the person at the terminal, or for the program that reads JSON.
    pub(crate) fn note(self, note: Arguments<'_>) {
        self.note_on(io::stderr(), note);
    }

    /// The same by a writer that writes to stderr.
    pub(crate) fn note_on(self, mut stderr: impl Write, note: Arguments<'_>) {
        let note = address::without_user(note.to_string());
        let note = match self.json {
            true => json!({ "note": note }).to_string(),
            false => note,
        };
        let _ = writeln!(stderr, "{note}");
    }

    /// Warns of the jobs of a list that cannot be read.
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

    /// Prints why the command ends with this exit code.
    pub(crate) fn error(self, error: &str, code: u8) {
        let error = address::without_user(error);
        let error = match self.json {
            true => json!({ "error": error, "exitCode": code }).to_string(),
            false => format!("error: {error}"),
        };
        let _ = writeln!(io::stderr(), "{error}");
    }
}

/// Whether stdout is to have colours: not unless it is a terminal, and not with NO_COLOR.
fn coloured() -> bool {
    AutoStream::choice(&io::stdout()) != ColorChoice::Never
}

/// A table with these headings.
pub(crate) fn table(headings: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(headings.iter().copied());
    match coloured() {
        true => table.enforce_styling(),
        false => table.force_no_tty(),
    };
    table
}

/// A status in a table.
pub(crate) fn status_cell(status: &JobStatus) -> Cell {
    let cell = Cell::new(status);
    match status {
        JobStatus::Succeeded => cell.fg(Color::DarkGreen),
        JobStatus::Failed | JobStatus::TimedOut => cell.fg(Color::DarkRed),
        JobStatus::InProgress => cell.fg(Color::DarkYellow),
        _ => cell,
    }
}

/// A status in a line.
pub(crate) fn status(status: &JobStatus) -> String {
    let colour = match status {
        JobStatus::Succeeded => AnsiColor::Green,
        JobStatus::Failed | JobStatus::TimedOut => AnsiColor::Red,
        JobStatus::InProgress => AnsiColor::Yellow,
        _ => return status.to_string(),
    };
    match coloured() {
        true => format!("{0}{status}{0:#}", colour.on_default()),
        false => status.to_string(),
    }
}

/// A moment, to the second, in UTC.
pub(crate) fn moment(at: Option<Timestamp>) -> String {
    at.map(|at| format!("{at:.0}")).unwrap_or_default()
}
