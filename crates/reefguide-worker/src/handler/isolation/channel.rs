//! What a worker and a handler's own process say to each other: JSON, one value a line, over the socket
//! that the process is given as stdin. Nothing that a handler prints can get between.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, kill_current_process_group};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::handler::process::{kill_all, on_change};
use crate::handler::{Cause, JobContext, JobError};
use crate::job::{Assignment, Job};
use crate::trace;

/// What the worker says first. All that it may say after it is an empty line: the attempt has to end.
#[derive(Deserialize, Serialize)]
pub(crate) struct Call {
    pub(crate) job: Job,
    pub(crate) assignment: Assignment,
    pub(crate) attempt: u32,
    pub(crate) scratch: PathBuf,
    pub(crate) outputs: PathBuf,
    pub(crate) remaining: Option<Duration>,
    /// Whether log lines end up on a terminal.
    pub(crate) terminal: bool,
    /// The trace to go on with.
    pub(crate) trace: trace::Headers,
}

/// What the process says.
#[derive(Deserialize, Serialize)]
pub(super) enum Said {
    /// Log lines, as they are to be written.
    Log(String),
    /// A process group of the handler's has started, or is gone.
    Group { id: i32, runs: bool },
    /// The handler is called.
    Began,
    /// The handler's result.
    Returned(Value),
    /// The handler's error.
    Failed {
        retryable: bool,
        cause: Cause,
        reason: String,
    },
}

/// The worker, as the process sees it.
static WORKER: OnceLock<Mutex<UnixStream>> = OnceLock::new();

impl Call {
    /// In the worker: the call for a context's job, as it is sent.
    pub(super) fn line(ctx: &JobContext) -> io::Result<Vec<u8>> {
        let mut line = serde_json::to_vec(&Self {
            job: ctx.job().clone(),
            assignment: ctx.assignment().clone(),
            attempt: ctx.attempt(),
            scratch: ctx.scratch().to_owned(),
            outputs: ctx.outputs().folder().to_owned(),
            remaining: ctx.remaining(),
            terminal: io::stderr().is_terminal(),
            trace: trace::headers(),
        })?;
        line.push(b'\n');
        Ok(line)
    }

    /// In the process: takes the call from stdin, which is empty from then on. `cancellation` fires
    /// when the worker says so; when the worker is gone, the process is, too.
    pub(crate) fn take(cancellation: CancellationToken) -> io::Result<Self> {
        let worker = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let mut heard = BufReader::new(worker.try_clone()?);
        let mut line = String::new();
        heard.read_line(&mut line)?;
        let call = serde_json::from_str(&line)?;
        // What the handler starts shall not hold the socket, nor wait for input.
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        WORKER
            .set(Mutex::new(worker))
            .map_err(|_| io::Error::other("there was a call before"))?;
        on_change(|id, runs| say(&Said::Group { id, runs }));
        // A thread, since a handler may block every thread of the runtime.
        thread::Builder::new()
            .name("worker-watch".into())
            .spawn(move || {
                if heard.read_exact(&mut [0]).is_ok() {
                    cancellation.cancel();
                    let _ = heard.read(&mut [0]);
                }
                kill_all();
                // Not `exit`, which runs what libraries have registered for it.
                let _ = kill_current_process_group(Signal::KILL);
            })?;
        Ok(call)
    }
}

/// In the process: tells the worker that the handler is called now. How it ends is its own doing from then on.
pub(crate) fn begin() {
    say(&Said::Began);
}

/// In the process: tells the worker what came of the call.
pub(crate) fn answer(result: Result<Value, JobError>) {
    say(&match result {
        Ok(result) => Said::Returned(result),
        Err(error) => Said::Failed {
            retryable: error.is_retryable(),
            cause: error.cause(),
            reason: error.to_string(),
        },
    });
}

/// In the process: writes log lines through the worker.
pub(crate) struct LogLines;

impl Write for LogLines {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        say(&Said::Log(String::from_utf8_lossy(lines).into_owned()));
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn say(said: &Said) {
    if let (Some(worker), Ok(mut line)) = (WORKER.get(), serde_json::to_vec(said)) {
        line.push(b'\n');
        let mut worker = worker.lock().unwrap_or_else(PoisonError::into_inner);
        // With the worker gone this process ends, by the thread above.
        let _ = worker.write_all(&line);
    }
}
