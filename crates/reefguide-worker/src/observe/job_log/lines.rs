//! Keeping the lines of a job. A line waits in memory until a task has written it to the file, so that logging never
//! blocks.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tempfile::TempPath;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Dispatch, Id, Span};
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan;

use crate::observe::json_lines::timestamp;

/// How many bytes of the beginning are kept.
const HEAD: usize = 10 << 20;
/// How many bytes of the end are kept, if the log is longer.
const TAIL: usize = 256 << 10;
/// How many bytes wait to be written at most.
const WAITING: usize = 1 << 20;

/// The log of a running job. It is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct JobLog {
    lines: Lines,
    file: TempPath,
    writing: AbortOnDropHandle<io::Result<()>>,
}

impl JobLog {
    /// Keeps what is logged in the current span from here on, in a file in `folder`. `None` if the span is disabled, or
    /// if the subscriber is not one that this library sets up.
    pub(crate) fn begin(folder: &Path) -> io::Result<Option<Self>> {
        let lines = Lines::default();
        let within = |registry: &Registry, id: &Id| {
            let span = registry.span(id)?;
            span.extensions_mut().replace(lines.clone());
            Some(())
        };
        if current(within).is_none() {
            return Ok(None);
        }
        let file = tempfile::Builder::new()
            .prefix("log-")
            .suffix(".jsonl")
            .tempfile_in(folder)?;
        let (file, path) = file.into_parts();
        let writing = tokio::spawn(write(lines.clone(), File::from_std(file)));
        Ok(Some(Self {
            lines,
            file: path,
            writing: AbortOnDropHandle::new(writing),
        }))
    }

    /// Whether nothing has been logged.
    pub(crate) fn is_empty(&self) -> bool {
        let state = self.lines.state();
        state.head == 0 && state.tail.is_empty()
    }

    /// The file with all lines. Later ones are not kept.
    pub(crate) async fn finish(self) -> io::Result<TempPath> {
        self.lines.state().closed = true;
        self.lines.0.added.notify_one();
        self.writing.await.map_err(io::Error::other)??;
        Ok(self.file)
    }
}

/// The lines of a job; an extension of its span.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    added: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// How many bytes the beginning has so far.
    head: usize,
    /// The last lines, once the beginning is full.
    tail: VecDeque<Vec<u8>>,
    tail_size: usize,
    /// How many lines are missing between the two.
    cut: u64,
    closed: bool,
}

impl Lines {
    /// The lines of the job in whose span this is called, if they are kept.
    pub(crate) fn current() -> Option<Self> {
        current(|registry, id| {
            let mut spans = registry.span(id)?.scope();
            spans.find_map(|span| span.extensions().get::<Self>().cloned())
        })
    }

    /// Adds a line that is a JSON object and ends with a line break.
    pub(crate) fn add(&self, line: &[u8]) {
        let mut state = self.state();
        let State {
            waiting,
            head,
            tail,
            tail_size,
            cut,
            closed,
        } = &mut *state;
        if *closed {
            return;
        }
        let whole_so_far = tail.is_empty() && *cut == 0;
        if whole_so_far && *head + line.len() <= HEAD && waiting.len() + line.len() <= WAITING {
            *head += line.len();
            waiting.extend(line);
            drop(state);
            self.0.added.notify_one();
            return;
        }
        tail.push_back(line.to_owned());
        *tail_size += line.len();
        while *tail_size > TAIL {
            *tail_size -= tail.pop_front().map_or(0, |line| line.len());
            *cut += 1;
        }
    }

    /// Adds lines that another process logged for the job.
    pub(crate) fn add_foreign(&self, lines: &str) {
        for line in lines.lines() {
            match serde_json::from_str(line) {
                Ok(Value::Object(_)) => self.add(format!("{line}\n").as_bytes()),
                _ => self.add(&message(line, json!({}))),
            }
        }
    }

    /// What is to be written next, and whether that is the rest.
    fn take(&self) -> (Vec<u8>, bool) {
        let mut state = self.state();
        let mut lines = std::mem::take(&mut state.waiting);
        if state.closed {
            if state.cut > 0 {
                let missing = json!({ "lines": state.cut });
                lines.extend(message(
                    "the log is too long, lines are missing here",
                    missing,
                ));
            }
            lines.extend(state.tail.drain(..).flatten());
        }
        (lines, state.closed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A line that was not logged as an event.
fn message(text: &str, mut fields: Value) -> Vec<u8> {
    fields["timestamp"] = timestamp().into();
    fields["message"] = text.into();
    format!("{fields}\n").into_bytes()
}

/// Looks something up in the current span.
fn current<T>(look: impl FnOnce(&Registry, &Id) -> Option<T>) -> Option<T> {
    let look = |(id, dispatch): (&Id, &Dispatch)| look(dispatch.downcast_ref()?, id);
    Span::current().with_subscriber(look).flatten()
}

async fn write(lines: Lines, mut file: File) -> io::Result<()> {
    loop {
        let (taken, last) = lines.take();
        file.write_all(&taken).await?;
        if last {
            return file.flush().await;
        }
        if taken.is_empty() {
            lines.0.added.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    /// The log of a job that logs `lines`.
    async fn logged(lines: impl Iterator<Item = String>) -> String {
        let folder = tempfile::tempdir().unwrap();
        let subscriber = tracing_subscriber::registry().with(tracing_subscriber::fmt::layer());
        let _logging = tracing::subscriber::set_default(subscriber);
        let log = {
            let _in_job = tracing::error_span!("job").entered();
            let log = JobLog::begin(folder.path()).unwrap().unwrap();
            let _deeper = tracing::error_span!("upload").entered();
            let kept = Lines::current().unwrap();
            for line in lines {
                kept.add_foreign(&line);
            }
            log
        };
        let file = log.finish().await.unwrap();
        std::fs::read_to_string(&file).unwrap()
    }

    #[tokio::test]
    async fn a_line_that_is_not_json_becomes_a_message() {
        let log = logged(["{\"depth\":1}".to_owned(), "deep".to_owned()].into_iter()).await;
        let (first, second) = log.trim_end().split_once('\n').unwrap();
        assert_eq!(first, "{\"depth\":1}");
        let second: Value = serde_json::from_str(second).unwrap();
        assert_eq!(second["message"], "deep");
        assert!(second["timestamp"].is_string());
    }

    #[tokio::test]
    async fn a_log_that_is_too_long_keeps_its_beginning_and_its_end() {
        // All at once, so that more is waiting to be written than fits: those lines are missing, too.
        let lines = 20_000;
        let log =
            logged((0..lines).map(|n| format!("{{\"n\":{n},\"text\":\"{:1000}\"}}", ""))).await;
        assert!(log.len() < HEAD + TAIL + 1_000, "{}", log.len());
        let log: Vec<Value> = log
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let gap = log
            .iter()
            .position(|line| !line["lines"].is_null())
            .unwrap();
        assert!((0..gap).all(|n| log[n]["n"] == n));
        let after = gap as u64 + log[gap]["lines"].as_u64().unwrap();
        let last: Vec<_> = log[gap + 1..]
            .iter()
            .map(|line| line["n"].as_u64().unwrap())
            .collect();
        assert!(last.iter().copied().eq(after..lines), "{after} {last:?}");
        assert!(last.len() > 200);
    }

    #[tokio::test]
    async fn no_log_is_kept_where_the_span_is_disabled() {
        let folder = tempfile::tempdir().unwrap();
        assert!(JobLog::begin(folder.path()).unwrap().is_none());
        assert!(Lines::current().is_none());
    }
}
