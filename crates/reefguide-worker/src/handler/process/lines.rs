//! The output of a process, as lines of the job's log.

use std::collections::VecDeque;
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest line, in bytes. A longer one is logged in pieces.
const LINE: usize = 8 << 10;
/// How many lines an error quotes.
const TAIL_LINES: usize = 10;
/// How many bytes an error quotes.
const TAIL_BYTES: usize = 2_000;

/// Logs the lines of a stream until every process has closed it, and calls `also` with each line.
pub(crate) async fn log(
    stream: &'static str,
    pipe: Option<impl AsyncRead + Unpin>,
    mut also: impl FnMut(&str),
) -> io::Result<()> {
    let on_line = |line: &str| {
        tracing::info!(stream, "{line}");
        also(line);
    };
    read(pipe.ok_or(io::ErrorKind::BrokenPipe)?, on_line).await
}

/// Calls `on_line` for every line. Keeps no more than two lines in memory.
async fn read(mut from: impl AsyncRead + Unpin, mut on_line: impl FnMut(&str)) -> io::Result<()> {
    let mut take = |line: &[u8]| {
        let line = String::from_utf8_lossy(line);
        // A progress bar overwrites itself with carriage returns: only its last state is logged.
        let last = line.trim_end().rsplit('\r').next().unwrap_or_default();
        if !last.is_empty() {
            on_line(last);
        }
    };
    let mut held = Vec::with_capacity(2 * LINE);
    while from.read_buf(&mut held).await? > 0 {
        let mut rest = &held[..];
        loop {
            let within = &rest[..rest.len().min(LINE + 1)];
            if let Some(end) = within.iter().position(|byte| *byte == b'\n') {
                take(&rest[..end]);
                rest = &rest[end + 1..];
            } else if rest.len() > LINE {
                let (piece, after) = rest.split_at(piece(rest));
                take(piece);
                rest = after;
            } else {
                break;
            }
        }
        let taken = held.len() - rest.len();
        held.drain(..taken);
    }
    take(&held);
    Ok(())
}

/// Where to cut a line that is too long: between two characters.
fn piece(line: &[u8]) -> usize {
    let continues = |end: &usize| line[*end] & 0b1100_0000 == 0b1000_0000;
    (LINE - 3..=LINE)
        .rev()
        .find(|end| !continues(end))
        .unwrap_or(LINE)
}

/// The last lines of a stream.
#[derive(Debug, Default)]
pub(crate) struct Tail(VecDeque<String>);

impl Tail {
    pub(crate) fn push(&mut self, line: &str) {
        let line = line.trim();
        let start = line.ceil_char_boundary(line.len().saturating_sub(TAIL_BYTES));
        self.0.push_back(line[start..].to_owned());
        let bytes = |lines: &VecDeque<String>| lines.iter().map(String::len).sum::<usize>();
        while self.0.len() > TAIL_LINES || bytes(&self.0) > TAIL_BYTES {
            self.0.pop_front();
        }
    }

    /// All lines on one, or `None` if there are none.
    pub(crate) fn quoted(self) -> Option<String> {
        let lines = Vec::from(self.0);
        Some(lines.join(" | ")).filter(|lines| !lines.is_empty())
    }
}
