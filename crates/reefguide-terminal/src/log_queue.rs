//! The queue in front of stderr: logging adds lines to it, and a thread writes them.
//!
//! Everything except usage errors is written to stderr this way. So a pipe that is not read, a stopped terminal, or a full
//! disk under a log file stops neither jobs nor signals nor the health server. Lines wait, up to a limit; further lines are
//! dropped and counted, and once there is room again, a warning says how many.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The largest number of lines that wait.
const LINES: usize = 20_000;
/// The largest number of bytes that wait.
const BYTES: usize = 8 << 20;
/// How long to wait after a failed write, until a disk may have room or a named pipe a reader again.
const RETRY: Duration = Duration::from_millis(500);
/// How long to wait if another process has made stderr non-blocking and it is full.
const FULL: Duration = Duration::from_millis(10);

/// How long the process waits for its last lines when it ends.
pub const LAST_LINES: Duration = Duration::from_secs(1);

static STDERR: LazyLock<LogQueue> = LazyLock::new(|| {
    // Not through the standard library, because a blocked write would hold its lock.
    LogQueue::new(|bytes| Ok(rustix::io::write(rustix::stdio::stderr(), bytes)?))
});

/// A writer of lines to stderr that never blocks. The bytes of one `write` are kept together.
pub fn stderr() -> Stderr {
    Stderr(())
}

/// Waits until the lines so far are written, for at most `limit`. If a write has failed, or has been stuck for that long
/// already, this does not wait.
pub fn flush(limit: Duration) {
    STDERR.flush(limit);
}

/// The number of lines that were dropped.
pub fn dropped() -> u64 {
    STDERR.all_dropped.load(Ordering::Relaxed)
}

/// Whether all lines are written.
pub fn is_idle() -> bool {
    let state = STDERR.state();
    state.queued == state.written
}

/// See [`stderr`].
#[derive(Debug)]
pub struct Stderr(());

impl Write for Stderr {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        STDERR.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// To query the terminal, for example for its width.
impl AsRawFd for Stderr {
    fn as_raw_fd(&self) -> RawFd {
        io::stderr().as_raw_fd()
    }
}

type Out = Box<dyn Fn(&[u8]) -> io::Result<usize> + Send + Sync>;

struct LogQueue {
    out: Out,
    state: Mutex<State>,
    changed: Condvar,
    all_dropped: AtomicU64,
}

#[derive(Default)]
struct State {
    /// Whether the writing thread exists.
    started: bool,
    lines: VecDeque<Box<[u8]>>,
    bytes: usize,
    /// How many lines have been added in total.
    queued: u64,
    /// How many of them are written.
    written: u64,
    /// How many lines were dropped since the last warning about it. While there are any, no line is added.
    dropped: u64,
    /// Whether that warning is being logged.
    warning: bool,
    /// When the current write began.
    writing: Option<Instant>,
    /// Whether the last write failed and the next is not due yet.
    failed: bool,
}

impl LogQueue {
    fn new(out: impl Fn(&[u8]) -> io::Result<usize> + Send + Sync + 'static) -> Self {
        Self {
            out: Box::new(out),
            state: Mutex::default(),
            changed: Condvar::new(),
            all_dropped: AtomicU64::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&'static self, line: &[u8]) {
        let mut state = self.state();
        if !state.started {
            // If a thread cannot be started now, one may be later.
            let thread = thread::Builder::new().name("log".into());
            state.started = thread.spawn(|| self.write_lines()).is_ok();
        }
        let fits = state.lines.len() < LINES && state.bytes + line.len() <= BYTES;
        if state.dropped > 0 || !fits {
            state.dropped += 1;
            self.all_dropped.fetch_add(1, Ordering::Relaxed);
        } else {
            state.bytes += line.len();
            state.queued += 1;
            state.lines.push_back(line.into());
        }
        drop(state);
        self.changed.notify_all();
    }

    /// The loop of the writing thread.
    fn write_lines(&self) {
        let mut state = self.state();
        loop {
            // Wait for more room than one line, so that not every other line is a warning.
            let has_room = state.lines.len() <= LINES / 2 && state.bytes <= BYTES / 2;
            if state.dropped > 0 && has_room {
                let lines = std::mem::take(&mut state.dropped);
                state.warning = true;
                drop(state);
                tracing::warn!(lines, "log lines dropped: stderr was not read in time");
                state = self.state();
                state.warning = false;
            } else if let Some(line) = state.lines.pop_front() {
                state.bytes -= line.len();
                state.writing = Some(Instant::now());
                drop(state);
                self.write_line(&line);
                state = self.state();
                state.writing = None;
                state.written += 1;
            } else {
                let waited = self.changed.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            self.changed.notify_all();
        }
    }

    /// Writes a whole line, however long that takes, so that no other line follows a part of it.
    fn write_line(&self, line: &[u8]) {
        let mut rest = line;
        while !rest.is_empty() {
            match (self.out)(rest) {
                Ok(written @ 1..) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(FULL),
                Ok(0) | Err(_) => {
                    let mut state = self.state();
                    state.failed = true;
                    self.changed.notify_all();
                    let waited = self
                        .changed
                        .wait_timeout_while(state, RETRY, |state| state.failed);
                    let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
                    state.failed = false;
                    state.writing = Some(Instant::now());
                }
            }
        }
    }

    fn flush(&self, limit: Duration) {
        let mut state = self.state();
        let stuck = state.writing.map(|since| since.elapsed());
        let deadline = Instant::now() + limit.saturating_sub(stuck.unwrap_or_default());
        // Try a failed write once more.
        state.failed = false;
        self.changed.notify_all();
        let wait = |state, busy: &dyn Fn(&State) -> bool| {
            let left = deadline.saturating_duration_since(Instant::now());
            let busy = |state: &mut State| !state.failed && busy(state);
            let waited = self.changed.wait_timeout_while(state, left, busy);
            waited.unwrap_or_else(PoisonError::into_inner).0
        };
        let state = wait(state, &|state| state.dropped > 0 || state.warning);
        let all = state.queued;
        drop(wait(state, &|state| state.written < all));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};

    use super::*;

    /// The longest that a test waits.
    const PATIENCE: Duration = Duration::from_secs(60);

    /// An output that blocks until it is opened.
    #[derive(Clone, Default)]
    struct Gated(Arc<(Mutex<(bool, String)>, Condvar)>);

    impl Gated {
        fn queue(&self) -> &'static LogQueue {
            let gated = self.clone();
            Box::leak(Box::new(LogQueue::new(move |bytes| {
                let (state, opened) = &*gated.0;
                let state = state.lock().unwrap();
                let mut state = opened.wait_while(state, |(open, _)| !*open).unwrap();
                state.1 += std::str::from_utf8(bytes).unwrap();
                Ok(bytes.len())
            })))
        }

        fn open(&self) {
            self.0.0.lock().unwrap().0 = true;
            self.0.1.notify_all();
        }

        fn written(&self) -> String {
            self.0.0.lock().unwrap().1.clone()
        }
    }

    #[test]
    fn unread_lines_are_kept_in_order_up_to_the_limit_and_counted_beyond_it() {
        let out = Gated::default();
        let queue = out.queue();
        let all: Vec<String> = (0..LINES + 500).map(|nth| format!("{nth}\n")).collect();
        all.iter().for_each(|line| queue.push(line.as_bytes()));
        out.open();
        queue.flush(PATIENCE);
        let written = out.written();
        let dropped = usize::try_from(queue.all_dropped.load(Ordering::Relaxed)).unwrap();
        assert_eq!(written, all[..all.len() - dropped].concat());
        // The first line may have been taken from the queue before it was full.
        assert!((499..=500).contains(&dropped), "{dropped}");
        queue.push(b"again\n");
        queue.flush(PATIENCE);
        assert_eq!(out.written(), written + "again\n");
    }

    #[test]
    fn waiting_bytes_have_a_limit_too() {
        let out = Gated::default();
        let queue = out.queue();
        let long = [vec![b'.'; BYTES / 4 - 1], vec![b'\n']].concat();
        (0..8).for_each(|_| queue.push(&long));
        assert!(queue.state().bytes <= BYTES);
        out.open();
        queue.flush(PATIENCE);
        let dropped = usize::try_from(queue.all_dropped.load(Ordering::Relaxed)).unwrap();
        assert!((3..=4).contains(&dropped), "{dropped}");
        assert_eq!(out.written().len(), (8 - dropped) * long.len());
    }

    #[test]
    fn a_partly_written_line_is_completed_before_the_next() {
        let (send, written) = mpsc::channel();
        let tries = AtomicU64::new(0);
        let queue: &'static LogQueue = Box::leak(Box::new(LogQueue::new(move |bytes| {
            use io::ErrorKind::{BrokenPipe, Interrupted, StorageFull, WouldBlock};
            match tries.fetch_add(1, Ordering::Relaxed) {
                1 => return Err(Interrupted.into()),
                2 => return Err(WouldBlock.into()),
                3 => return Err(StorageFull.into()),
                4 => return Err(BrokenPipe.into()),
                5 => return Ok(0),
                _ => {}
            }
            let some = bytes.len().min(3);
            send.send(bytes[..some].to_vec()).unwrap();
            Ok(some)
        })));
        queue.push(b"first line\n");
        queue.push(b"second line\n");
        let mut text = Vec::new();
        while text.len() < "first line\nsecond line\n".len() {
            text.extend(written.recv_timeout(PATIENCE).unwrap());
        }
        assert_eq!(text, b"first line\nsecond line\n");
        assert_eq!(queue.all_dropped.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_flush_does_not_wait_for_a_write_that_is_stuck_or_fails() {
        let out = Gated::default();
        let stuck = out.queue();
        stuck.push(b"never read\n");
        let started = Instant::now();
        stuck.flush(Duration::from_millis(200));
        assert!(started.elapsed() >= Duration::from_millis(100));
        let started = Instant::now();
        stuck.flush(Duration::from_millis(200));
        assert!(started.elapsed() < Duration::from_millis(100));

        let failing = LogQueue::new(|_| Err(io::ErrorKind::BrokenPipe.into()));
        let failing: &'static LogQueue = Box::leak(Box::new(failing));
        failing.push(b"never read\n");
        let started = Instant::now();
        failing.flush(PATIENCE);
        failing.flush(PATIENCE);
        assert!(started.elapsed() < PATIENCE / 2);
    }
}
