//! Child processes that do not outlive their parent.

use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use crate::failure::{Doing, Failure};

/// How long a killed group may take to leave the process table.
const KILL_TIMEOUT: Duration = Duration::from_secs(2);

/// A child process in a separate process group, so that only this process gets a terminal's Ctrl-C. When it is dropped,
/// it is killed with everything that it started, and the drop waits until they are gone.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
}

impl Process {
    /// Starts `command`; errors call it `name`.
    pub(crate) fn start(name: &'static str, command: &mut Command) -> Result<Self, Failure> {
        let child = command
            .process_group(0)
            .spawn()
            .doing(format_args!("starting {name}"))?;
        Ok(Self { name, child })
    }

    /// The process id; `None` once it has ended and was waited for.
    pub(crate) fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// Its stdout, if that is piped and was not taken before.
    pub(crate) fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Its stderr, if that is piped and was not taken before.
    pub(crate) fn take_stderr(&mut self) -> Option<ChildStderr> {
        self.child.stderr.take()
    }

    /// Waits until it ends. Cancel safe.
    pub(crate) async fn wait(&mut self) -> Result<ExitStatus, Failure> {
        let name = self.name;
        self.child
            .wait()
            .await
            .doing(format_args!("waiting for {name}"))
    }

    /// Sends SIGTERM, or nothing if it has ended.
    pub(crate) fn terminate(&self) -> Result<(), Failure> {
        self.signal(Signal::TERM)
    }

    /// Sends SIGKILL, or nothing if it has ended.
    pub(crate) fn kill(&self) -> Result<(), Failure> {
        self.signal(Signal::KILL)
    }

    fn signal(&self, signal: Signal) -> Result<(), Failure> {
        match self.group() {
            Some(group) => kill_process_group(group, signal)
                .doing(format_args!("sending a signal to {}", self.name)),
            None => Ok(()),
        }
    }

    /// Its group, which has the same number as its id. It is safe to signal until the process was waited for.
    fn group(&self) -> Option<Pid> {
        let id = i32::try_from(self.id()?).ok()?;
        Pid::from_raw(id)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(group) = self.group() else {
            return;
        };
        // It may be gone already.
        let _ = kill_process_group(group, Signal::KILL);
        let killed = Instant::now();
        while killed.elapsed() < KILL_TIMEOUT {
            // The group exists until this process has reaped the child, and init its children.
            let reaped = !matches!(self.child.try_wait(), Ok(None));
            if reaped && test_kill_process_group(group).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Runs a command to its end; its status, stdout and stderr.
pub(crate) async fn output(
    name: &'static str,
    command: &mut Command,
) -> Result<(ExitStatus, String, String), Failure> {
    let mut process = Process::start(name, command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let (mut out, mut err) = (String::new(), String::new());
    if let (Some(mut stdout), Some(mut stderr)) = (process.take_stdout(), process.take_stderr()) {
        let read = tokio::try_join!(
            stdout.read_to_string(&mut out),
            stderr.read_to_string(&mut err)
        );
        read.doing(format_args!("reading the output of {name}"))?;
    }
    Ok((process.wait().await?, out, err))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncBufReadExt, BufReader};

    #[tokio::test]
    async fn a_dropped_process_is_gone_with_its_children() {
        let mut command = Command::new("sh");
        command
            .args(["-c", "trap '' TERM; sleep 600 & echo $!; wait"])
            .stdout(Stdio::piped());
        let mut shell = Process::start("sh", &mut command).unwrap();
        let mut lines = BufReader::new(shell.take_stdout().unwrap()).lines();
        lines.next_line().await.unwrap().unwrap();
        let group = shell.group().unwrap();
        assert!(test_kill_process_group(group).is_ok());

        drop(shell);
        assert!(test_kill_process_group(group).is_err());
    }
}
