//! A handler in a process of its own: what ends that process does not end the worker.

mod channel;
mod heard;
mod memory;

pub(crate) use channel::{Call, LogLines, answer, begin};

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

use self::heard::Heard;
use super::process::{Followed, Group, follow, log};
use super::{JobContext, JobError};
use crate::cgroup;

/// How long the process may take to end once the handler has.
const LINGER: Duration = Duration::from_secs(1);
/// Between two looks at its memory.
const LOOK: Duration = Duration::from_millis(100);

/// How a process for a handler is started.
#[derive(Clone, Debug)]
pub(crate) struct Launcher {
    program: PathBuf,
    /// The first is the program's name.
    args: Vec<OsString>,
}

impl Launcher {
    /// This process's own program, with other arguments.
    pub(crate) fn this_program(args: Vec<OsString>) -> io::Result<Self> {
        // What runs, also if the file has been replaced since.
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

    /// Runs the handler of a context's job in a process of its own.
    ///
    /// Cancel safe like [`Program::run`](super::Program::run).
    pub(super) async fn run(&self, ctx: &JobContext) -> Result<Value, JobError> {
        ctx.check_cancelled()?;
        let preparing = "preparing the handler's process";
        let call = Call::line(ctx).map_err(|error| JobError::from(error).context(preparing))?;
        let (mut socket, theirs) =
            sockets().map_err(|error| JobError::workers(error).context(preparing))?;
        let (said, mut says) = socket.split();

        let kills = cgroup::kills();
        let mut group = self.start(theirs).map_err(|error| {
            // There may be room for another process later.
            JobError::workers(error).context("starting a process for the handler")
        })?;
        // Dropped after the group: when the process is gone, so are the groups that it has started.
        let (heard, mut group) = (Heard::of(group.leader().id()), group);
        let leader = group.leader();
        tracing::info!(pid = leader.id(), "isolated handler started");
        let stdout = log("stdout", leader.stdout.take(), |line| heard.line(line));
        let stderr = log("stderr", leader.stderr.take(), |line| heard.line(line));
        let listening = heard.listen(said);
        let talking = async {
            // If it cannot be told, it has ended, or is ended by `enough`.
            let _ = says.write_all(&call).await;
            ctx.cancellation().cancelled().await;
            let _ = says.write_all(b"\n").await;
            std::future::pending().await
        };
        let looking = async {
            loop {
                heard.look();
                tokio::time::sleep(LOOK).await;
            }
        };
        let reading = async {
            tokio::select! {
                (stdout, stderr, said) = async { tokio::join!(stdout, stderr, listening) } =>
                    stdout.and(stderr).and(said),
                never = async { tokio::join!(talking, looking).0 } => never,
            }
        };
        let enough = async {
            tokio::select! {
                () = ctx.cancellation().cancelled() => {}
                () = heard.answered() => tokio::time::sleep(LINGER).await,
            }
        };
        let Followed { status, read } = follow(&mut group, reading, enough).await;
        if let Some(Err(error)) = read {
            return Err(JobError::from(error).context("listening to the handler's process"));
        }
        let status = status.transpose()?;
        let out_of_memory = kills < cgroup::kills();
        heard.outcome(status, out_of_memory)
    }

    fn start(&self, socket: Pair) -> io::Result<Group> {
        let mut command = Command::new(&self.program);
        if let Some((name, args)) = self.args.split_first() {
            command.arg0(name).args(args);
        }
        command
            .stdin(Stdio::from(OwnedFd::from(socket)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Group::start(&mut command)
    }
}

/// The two ends of the line between worker and process.
fn sockets() -> io::Result<(UnixStream, Pair)> {
    let (ours, theirs) = Pair::pair()?;
    ours.set_nonblocking(true)?;
    Ok((UnixStream::from_std(ours)?, theirs))
}
