//! Answers on stdout, whose failures are not lost.

use std::fmt::Display;
use std::io::{self, Write};

/// An answer could not be written to stdout, for example because a disk is full.
#[derive(Debug, thiserror::Error)]
#[error("stdout cannot be written: make room there, or redirect it to another place")]
pub struct StdoutError(#[source] io::Error);

/// Writes one or more lines to stdout and flushes them. Blocks until the reader of stdout has room for them.
///
/// # Errors
/// If stdout cannot be written. A pipe that its reader has closed is not an error, because the reader wants no more.
pub fn answer(text: impl Display) -> Result<(), StdoutError> {
    answer_on(io::stdout(), text)
}

/// Like [`answer`], with another writer to stdout.
///
/// # Errors
/// As for [`answer`].
pub fn answer_on(mut stdout: impl Write, text: impl Display) -> Result<(), StdoutError> {
    // In one piece, so that lines of several processes do not mix.
    written(stdout.write_all(format!("{text}\n").as_bytes()))?;
    written(stdout.flush())
}

/// The result of writing to stdout, in which a closed pipe is not an error.
///
/// # Errors
/// As for [`answer`].
pub fn written(done: io::Result<()>) -> Result<(), StdoutError> {
    match done {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        done => done.map_err(StdoutError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accepts bytes into a buffer, and fails when it is flushed.
    struct Buffered(io::ErrorKind);

    impl Write for Buffered {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn an_answer_that_stays_in_a_buffer_counts_as_unwritten() {
        let error = answer_on(Buffered(io::ErrorKind::StorageFull), "1").unwrap_err();
        insta::assert_snapshot!(reefguide_transport::Chain(&error), @"stdout cannot be written: make room there, or redirect it to another place: no storage space");
    }

    #[test]
    fn a_pipe_that_its_reader_has_closed_is_not_an_error() {
        answer_on(Buffered(io::ErrorKind::BrokenPipe), "1").unwrap();
    }
}
