//! What a process writes, as lines of the job's log.

use std::collections::VecDeque;
use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The longest line, in bytes; a longer one is logged in pieces.
const LINE: usize = 8 << 10;
/// How many lines an error quotes.
const TAIL_LINES: usize = 10;
/// How many bytes it quotes.
const TAIL_BYTES: usize = 2_000;

/// Logs the lines of a stream until its writers are gone; `also` is told of each.
pub(crate) async fn log(
    stream: &'static str,
    pipe: Option<impl AsyncRead + Unpin>,
    mut also: impl FnMut(&str),
) -> io::Result<()> {
    let say = |line: &str| {
        tracing::info!(stream, "{line}");
        also(line);
    };
    read(pipe.ok_or(io::ErrorKind::BrokenPipe)?, say).await
}

/// Calls `say` for every line. Keeps no more than two lines in memory.
async fn read(mut from: impl AsyncRead + Unpin, mut say: impl FnMut(&str)) -> io::Result<()> {
    let mut say = |line: &[u8]| {
        let line = String::from_utf8_lossy(line);
        // A progress bar overwrites itself; what counts is how it last stood.
        let last = line.trim_end().rsplit('\r').next().unwrap_or_default();
        if !last.is_empty() {
            say(last);
        }
    };
    let mut held = Vec::with_capacity(2 * LINE);
    while from.read_buf(&mut held).await? > 0 {
        let mut rest = &held[..];
        loop {
            let within = &rest[..rest.len().min(LINE + 1)];
            if let Some(end) = within.iter().position(|byte| *byte == b'\n') {
                say(&rest[..end]);
                rest = &rest[end + 1..];
            } else if rest.len() > LINE {
                let (piece, after) = rest.split_at(piece(rest));
                say(piece);
                rest = after;
            } else {
                break;
            }
        }
        let said = held.len() - rest.len();
        held.drain(..said);
    }
    say(&held);
    Ok(())
}

/// Where to cut a line that is too long: not within a character.
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

    /// The lines on one line.
    pub(crate) fn quoted(self) -> Option<String> {
        let lines = Vec::from(self.0);
        Some(lines.join(" | ")).filter(|lines| !lines.is_empty())
    }
}
