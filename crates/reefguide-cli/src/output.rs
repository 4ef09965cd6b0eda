//! What is printed: results on stdout, everything else on stderr. Nobody may be reading: a closed pipe is no
//! reason to fail.

use std::fmt::Arguments;
use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice};
use clap::builder::styling::AnsiColor;
use comfy_table::{Cell, Color, Table, presets};
use jiff::Timestamp;
use reefguide_worker::job::JobStatus;
use reefguide_worker::source::reefguide::JobList;
use serde::Serialize;

/// Prints a result, as JSON or as text.
pub(crate) fn print<T: Serialize + ?Sized>(json: bool, value: &T, text: impl FnOnce(&T) -> String) {
    match serde_json::to_string_pretty(value) {
        Ok(pretty) if json => say(format_args!("{pretty}")),
        _ => say(format_args!("{}", text(value))),
    }
}

/// One line of a result that comes bit by bit.
pub(crate) fn line<T: Serialize>(json: bool, value: &T, text: impl FnOnce(&T) -> String) -> String {
    match serde_json::to_string(value) {
        Ok(line) if json => line,
        _ => text(value),
    }
}

/// Prints a line of the result.
pub(crate) fn say(line: Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Prints a line for the person at the terminal.
pub(crate) fn note(line: Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Warns of the jobs of a list that cannot be read.
pub(crate) fn note_unreadable(list: &JobList) {
    for details in &list.jobs {
        if let Some(why) = &details.job.unreadable {
            note(format_args!("job {} cannot be read: {why}", details.job.id));
        }
    }
    for what in &list.skipped {
        note(format_args!("left out: {what}"));
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
