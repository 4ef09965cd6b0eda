//! What the command answers on stdout: written, or known not to be.

use std::fmt::Display;
use std::io::{self, Write};

/// An answer could not be written to stdout: its disk is full, say.
#[derive(Debug, thiserror::Error)]
#[error("stdout cannot be written: make room there, or redirect it to another place")]
pub(super) struct StdoutError(#[source] io::Error);

/// Writes a line, or several, and makes sure that the system has taken it. A pipe that its reader has closed is no
/// error: the reader wants no more.
pub(super) fn answer(text: impl Display) -> Result<(), StdoutError> {
    let mut stdout = io::stdout();
    let answer = format!("{text}\n");
    written(stdout.write_all(answer.as_bytes()))?;
    written(stdout.flush())
}

/// What has become of writing to stdout.
pub(super) fn written(done: io::Result<()>) -> Result<(), StdoutError> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(StdoutError),
    }
}
