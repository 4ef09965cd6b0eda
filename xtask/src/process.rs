//! Child processes that do not outlive whoever started them.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use crate::failure::{Doing, Failure};

/// How long a killed group may take to be gone from the process table.
const GONE_WITHIN: Duration = Duration::from_secs(2);

/// A child process in a process group of its own, so that a terminal's Ctrl-C reaches it through us
/// only. Dropped, it is killed with everything it started, and gone before the drop is over.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
}

impl Process {
    /// Starts `command`; `name` is what failures call it.
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

    /// What it prints, if its stdout is piped and nobody has taken it before.
    pub(crate) fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// What it complains about, if its stderr is piped and nobody has taken it before.
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

    /// Sends SIGTERM; nothing if it has ended.
    pub(crate) fn terminate(&self) -> Result<(), Failure> {
        self.signal(Signal::TERM)
    }

    /// Sends SIGKILL; nothing if it has ended.
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

    /// Its group, whose number is its own id: safe to signal until it was waited for.
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
        // Gone already is as good.
        let _ = kill_process_group(group, Signal::KILL);
        let killed = Instant::now();
        while killed.elapsed() < GONE_WITHIN {
            // Ours is reaped here, its children by init: until then the group exists.
            let reaped = !matches!(self.child.try_wait(), Ok(None));
            if reaped && test_kill_process_group(group).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Stdio;
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
