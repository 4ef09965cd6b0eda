//! The messages between a worker and a handler's own process: JSON, one value a line, over a socket that is the
//! process's stdin. What a handler prints goes elsewhere, so it cannot corrupt them.

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

use crate::handler::process::{kill_all, report_changes_to};
use crate::handler::{Cause, JobContext, JobError};
use crate::job::{Assignment, Job};
use crate::trace;

/// The worker's first message: the job to run. Its only other message is an empty line, which cancels the attempt.
#[derive(Deserialize, Serialize)]
pub(crate) struct JobRequest {
    pub(crate) job: Job,
    pub(crate) assignment: Assignment,
    pub(crate) attempt: u32,
    pub(crate) scratch: PathBuf,
    pub(crate) outputs: PathBuf,
    pub(crate) remaining: Option<Duration>,
    /// Whether log lines end up on a terminal.
    pub(crate) terminal: bool,
    /// The trace to continue.
    pub(crate) trace: trace::Headers,
}

/// A message from the process.
#[derive(Deserialize, Serialize)]
pub(super) enum ChildMessage {
    /// Log lines, formatted.
    Log(String),
    /// A process group that the handler started runs, or is gone.
    Group { id: i32, runs: bool },
    /// The process calls the handler.
    Started,
    /// The handler's result.
    Returned(Value),
    /// The handler's error.
    Failed {
        retryable: bool,
        cause: Cause,
        reason: String,
    },
}

/// In the process: the socket to the worker.
static WORKER: OnceLock<Mutex<UnixStream>> = OnceLock::new();

impl JobRequest {
    /// In the worker: the request for a context's job, as a line.
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

    /// In the process: reads the request from stdin, and then replaces stdin by `/dev/null`. `cancellation` fires when
    /// the worker cancels the attempt. When the worker ends, this process is killed.
    pub(crate) fn receive(cancellation: CancellationToken) -> io::Result<Self> {
        let worker = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
        let mut messages = BufReader::new(worker.try_clone()?);
        let mut line = String::new();
        messages.read_line(&mut line)?;
        let request = serde_json::from_str(&line)?;
        // A process that the handler starts must not hold the socket, nor wait for input.
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        WORKER
            .set(Mutex::new(worker))
            .map_err(|_| io::Error::other("there was a request before"))?;
        report_changes_to(|id, runs| send(&ChildMessage::Group { id, runs }));
        // A thread, because a handler may block every thread of the runtime.
        thread::Builder::new()
            .name("worker-watch".into())
            .spawn(move || {
                if messages.read_exact(&mut [0]).is_ok() {
                    cancellation.cancel();
                    let _ = messages.read(&mut [0]);
                }
                kill_all();
                // Not `exit`, which would run the exit functions of libraries.
                let _ = kill_current_process_group(Signal::KILL);
            })?;
        Ok(request)
    }
}

/// In the process: tells the worker that the handler is called. If the process dies after this, the job fails.
pub(crate) fn report_start() {
    send(&ChildMessage::Started);
}

/// In the process: sends the worker the handler's result or error.
pub(crate) fn report_result(result: Result<Value, JobError>) {
    send(&match result {
        Ok(result) => ChildMessage::Returned(result),
        Err(error) => ChildMessage::Failed {
            retryable: error.is_retryable(),
            cause: error.cause(),
            reason: error.to_string(),
        },
    });
}

/// In the process: a writer that sends log lines to the worker, which writes them.
pub(crate) struct LogLines;

impl Write for LogLines {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        send(&ChildMessage::Log(
            String::from_utf8_lossy(lines).into_owned(),
        ));
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn send(message: &ChildMessage) {
    if let (Some(worker), Ok(mut line)) = (WORKER.get(), serde_json::to_vec(message)) {
        line.push(b'\n');
        let mut worker = worker.lock().unwrap_or_else(PoisonError::into_inner);
        // This fails when the worker has ended. Then the watching thread kills this process.
        let _ = worker.write_all(&line);
    }
}
