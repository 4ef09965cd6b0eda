//! A process and everything it starts: one process group, which ends as a whole.

use std::io;
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpgid};
use tokio::process::{Child, Command};

use super::cleanup_shell;

/// How long to wait until a killed group is gone.
const GONE_WITHIN: Duration = Duration::from_millis(500);
/// Between two checks whether it is gone.
const CHECK_INTERVAL: Duration = Duration::from_millis(1);

/// The running groups, for [`kill_all`].
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());
/// Is called at every start and end of a group, in place of the cleanup shell.
static ON_CHANGE: OnceLock<fn(i32, bool)> = OnceLock::new();

/// A process group. Dropping it kills the group and waits until it is gone.
#[derive(Debug)]
pub(crate) struct ProcessGroup {
    leader: Child,
    /// The process id of the leader.
    id: Pid,
    gone: bool,
}

impl ProcessGroup {
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        if ON_CHANGE.get().is_none() {
            cleanup_shell::ensure(&running(), command);
        }
        let leader = command.process_group(0).spawn()?;
        let id = leader.id().and_then(|id| i32::try_from(id).ok());
        let id = id
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::other("it has no process id"))?;
        set_running(id, true);
        Ok(Self {
            leader,
            id,
            gone: false,
        })
    }

    pub(crate) fn leader(&mut self) -> &mut Child {
        &mut self.leader
    }

    /// Waits for the leader to end and kills the processes it leaves behind. Cancel safe.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        let status = self.leader.wait().await;
        // At once: the system may give the id of an empty group to another one.
        self.signal(Signal::KILL);
        let killed = Instant::now();
        while !self.is_gone() && killed.elapsed() < GONE_WITHIN {
            tokio::time::sleep(CHECK_INTERVAL).await;
        }
        status
    }

    /// Asks the group to end, and kills it after `grace`.
    pub(crate) async fn end(&mut self, grace: Duration) {
        if self.leader.id().is_some() {
            self.signal(Signal::TERM);
        }
        if tokio::time::timeout(grace, self.ended()).await.is_err() {
            self.signal(Signal::KILL);
            // It is being cancelled, so its exit status does not matter.
            let _ = self.ended().await;
        }
    }

    fn signal(&self, signal: Signal) {
        // This fails only for a group that is gone.
        let _ = kill_process_group(self.id, signal);
    }

    /// Whether the leader has been waited for, and with it the processes of its group that have become children of
    /// this process.
    fn is_gone(&mut self) -> bool {
        self.gone = self.gone || (!matches!(self.leader.try_wait(), Ok(None)) && reaped(self.id));
        self.gone
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if self.leader.id().is_some() {
            self.signal(Signal::KILL);
        }
        wait_until(|| self.is_gone());
        set_running(self.id, false);
    }
}

/// The groups that a child process has started. The child may die without ending them, so dropping this kills them.
#[derive(Debug, Default)]
pub(crate) struct ChildGroups(Vec<Pid>);

impl ChildGroups {
    /// Records that a group has started, or is gone.
    pub(crate) fn set_running(&mut self, id: i32, runs: bool) {
        let Some(id) = Pid::from_raw(id) else { return };
        self.0.retain(|known| *known != id);
        if runs {
            self.0.push(id);
        }
        set_running(id, runs);
    }
}

impl Drop for ChildGroups {
    fn drop(&mut self) {
        for id in std::mem::take(&mut self.0) {
            let _ = kill_process_group(id, Signal::KILL);
            wait_until(|| reaped(id));
            set_running(id, false);
        }
    }
}

/// Reaps the processes of a group that have become children of this process, as orphans do of a container's first
/// process. Returns whether none is left.
fn reaped(id: Pid) -> bool {
    loop {
        match waitpgid(id, WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}

fn wait_until(mut gone: impl FnMut() -> bool) {
    let killed = Instant::now();
    while !gone() && killed.elapsed() < GONE_WITHIN {
        std::thread::sleep(CHECK_INTERVAL);
    }
}

/// Calls `report` for every group that starts (`true`) or is gone (`false`), instead of starting a cleanup shell: the
/// receiver of the reports ends the groups if this process is killed. Only the first call has an effect.
pub(crate) fn report_changes_to(report: fn(i32, bool)) {
    let _ = ON_CHANGE.set(report);
}

fn set_running(id: Pid, runs: bool) {
    let mut running = running();
    running.retain(|known| *known != id);
    if runs {
        running.push(id);
    }
    drop(running);
    match ON_CHANGE.get() {
        Some(report) => report(id.as_raw_nonzero().get(), runs),
        None => cleanup_shell::set_running(id, runs),
    }
}

/// Kills every group of this process, which is about to end without dropping anything.
pub(crate) fn kill_all() {
    for id in running().iter() {
        let _ = kill_process_group(*id, Signal::KILL);
    }
}

/// Whether this process has started the group and waits for its end.
pub(super) fn is_running(id: Pid) -> bool {
    running().contains(&id)
}

fn running() -> MutexGuard<'static, Vec<Pid>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[tokio::test]
    async fn when_the_process_has_to_end_at_once_its_programs_are_killed() {
        let mut group = ProcessGroup::start(Command::new("sleep").arg("600")).unwrap();
        kill_all();
        let ended = tokio::time::timeout(Duration::from_secs(60), group.ended());
        let status = ended.await.unwrap().unwrap();
        assert_eq!(status.signal(), Some(9));
        let id = group.id;
        drop(group);
        assert!(!running().contains(&id));
    }
}
