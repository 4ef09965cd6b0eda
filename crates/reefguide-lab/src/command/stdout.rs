//! Output on stdout, and the error if it cannot be written.

use std::fmt::Display;
use std::io::{self, Write};

/// The output could not be written to stdout, for example because the disk is full.
#[derive(Debug, thiserror::Error)]
#[error("stdout cannot be written: make room there, or redirect it to another place")]
pub(super) struct StdoutError(#[source] io::Error);

/// Writes and flushes one or more lines. A closed pipe is not an error: its reader wants no more.
pub(super) fn answer(text: impl Display) -> Result<(), StdoutError> {
    let mut stdout = io::stdout();
    let answer = format!("{text}\n");
    written(stdout.write_all(answer.as_bytes()))?;
    written(stdout.flush())
}

/// The result of a write to stdout.
pub(super) fn written(done: io::Result<()>) -> Result<(), StdoutError> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(StdoutError),
    }
}
