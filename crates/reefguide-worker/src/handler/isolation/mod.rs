//! A handler in its own process, whose crash does not end the worker.

mod channel;
mod memory;
mod monitor;

pub(crate) use channel::{JobRequest, LogLines, report_result, report_start};

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as Pair;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::process::Command;

use self::monitor::ChildMonitor;
use super::process::{Followed, ProcessGroup, follow, log};
use super::{JobContext, JobError};
use crate::cgroup;

/// How long the process may take to end after the handler has returned.
const LINGER: Duration = Duration::from_secs(1);
/// Between two samples of its memory.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);

/// How a process for a handler is started.
#[derive(Clone, Debug)]
pub(crate) struct Launcher {
    program: PathBuf,
    /// The first one is the program's name.
    args: Vec<OsString>,
}

impl Launcher {
    /// This process's own program, with other arguments.
    pub(crate) fn this_program(args: Vec<OsString>) -> io::Result<Self> {
        // The program that runs, even if its file has been replaced since.
        let program = if cfg!(target_os = "linux") {
            "/proc/self/exe".into()
        } else {
            std::env::current_exe()?
        };
        Ok(Self { program, args })
    }

    pub(crate) fn arg(&mut self, arg: impl Into<OsString>) {
        self.args.push(arg.into());
    }

    /// Runs the handler of a context's job in a new process.
    ///
    /// Cancel safe like [`Program::run`](super::Program::run).
    pub(super) async fn run(&self, ctx: &JobContext) -> Result<Value, JobError> {
        ctx.check_cancelled()?;
        let preparing = "preparing the handler's process";
        let request =
            JobRequest::line(ctx).map_err(|error| JobError::from(error).context(preparing))?;
        let (mut socket, theirs) =
            sockets().map_err(|error| JobError::not_started(error).context(preparing))?;
        let (messages, mut requests) = socket.split();

        let kills = cgroup::kills();
        let mut group = self.start(theirs).map_err(|error| {
            // The system may have room for another process later.
            JobError::not_started(error).context("starting a process for the handler")
        })?;
        // Declared before the group and so dropped after it: the process is gone before the groups that it started are
        // killed.
        let (monitor, mut group) = (ChildMonitor::new(group.leader().id()), group);
        let leader = group.leader();
        tracing::info!(pid = leader.id(), "isolated handler started");
        let stdout = log("stdout", leader.stdout.take(), |line| {
            monitor.push_line(line);
        });
        let stderr = log("stderr", leader.stderr.take(), |line| {
            monitor.push_line(line);
        });
        let receiving = monitor.receive_all(messages);
        let sending = async {
            // This fails only if the process has ended, or `enough` ends it.
            let _ = requests.write_all(&request).await;
            ctx.cancellation().cancelled().await;
            let _ = requests.write_all(b"\n").await;
            std::future::pending().await
        };
        let sampling = async {
            loop {
                monitor.sample_memory();
                tokio::time::sleep(SAMPLE_INTERVAL).await;
            }
        };
        let reading = async {
            tokio::select! {
                (stdout, stderr, received) = async { tokio::join!(stdout, stderr, receiving) } =>
                    stdout.and(stderr).and(received),
                never = async { tokio::join!(sending, sampling).0 } => never,
            }
        };
        let enough = async {
            tokio::select! {
                () = ctx.cancellation().cancelled() => {}
                () = monitor.result_received() => tokio::time::sleep(LINGER).await,
            }
        };
        let Followed { status, read } = follow(&mut group, reading, enough).await;
        if let Some(Err(error)) = read {
            return Err(JobError::from(error).context("reading from the handler's process"));
        }
        let status = status.transpose()?;
        let out_of_memory = kills < cgroup::kills();
        monitor.into_result(status, out_of_memory)
    }

    fn start(&self, socket: Pair) -> io::Result<ProcessGroup> {
        let mut command = Command::new(&self.program);
        if let Some((name, args)) = self.args.split_first() {
            command.arg0(name).args(args);
        }
        command
            .stdin(Stdio::from(OwnedFd::from(socket)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        ProcessGroup::start(&mut command)
    }
}

/// The worker's end and the process's end of a socket.
fn sockets() -> io::Result<(UnixStream, Pair)> {
    let (ours, theirs) = Pair::pair()?;
    ours.set_nonblocking(true)?;
    Ok((UnixStream::from_std(ours)?, theirs))
}
