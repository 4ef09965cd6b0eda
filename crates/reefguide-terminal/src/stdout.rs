//! What a command answers on stdout: written, or known not to be.

use std::fmt::Display;
use std::io::{self, Write};

/// An answer could not be written to stdout: its disk is full, say.
#[derive(Debug, thiserror::Error)]
#[error("stdout cannot be written: make room there, or redirect it to another place")]
pub struct StdoutError(#[source] io::Error);

/// Writes a line, or several, to stdout and makes sure that the system has taken it.
///
/// Waits for whatever reads stdout.
///
/// # Errors
/// When stdout cannot be written. A pipe that its reader has closed is no error: the reader wants no more.
pub fn answer(text: impl Display) -> Result<(), StdoutError> {
    answer_on(io::stdout(), text)
}

/// The same by a writer that writes to stdout.
///
/// # Errors
/// As for [`answer`].
pub fn answer_on(mut stdout: impl Write, text: impl Display) -> Result<(), StdoutError> {
    // In one piece, so that the lines of several processes do not mix.
    written(stdout.write_all(format!("{text}\n").as_bytes()))?;
    written(stdout.flush())
}

/// What has become of writing to stdout.
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

    /// Takes what it is given and fails when it is to pass it on.
    struct Lazy(io::ErrorKind);

    impl Write for Lazy {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Err(self.0.into())
        }
    }

    #[test]
    fn an_answer_that_stays_in_a_buffer_is_not_written() {
        let error = answer_on(Lazy(io::ErrorKind::StorageFull), "1").unwrap_err();
        insta::assert_snapshot!(reefguide_transport::Chain(&error), @"stdout cannot be written: make room there, or redirect it to another place: no storage space");
    }

    #[test]
    fn a_reader_that_has_left_wants_no_more() {
        answer_on(Lazy(io::ErrorKind::BrokenPipe), "1").unwrap();
    }
}
