//! A process with everything it starts: one process group, which ends together.

use std::io;
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpgid};
use tokio::process::{Child, Command};

use super::guard;

/// How long to wait for a killed group to be gone.
const GONE_WITHIN: Duration = Duration::from_millis(500);
/// Between two looks whether it is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// The groups there are, for [`kill_all`].
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());
/// Whom to tell of groups, in place of the guard.
static TOLD: OnceLock<fn(i32, bool)> = OnceLock::new();

/// A process group; dropped, it is killed, and gone before the drop is over.
#[derive(Debug)]
pub(crate) struct Group {
    leader: Child,
    /// The group's number is that of its leader.
    id: Pid,
    gone: bool,
}

impl Group {
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        if TOLD.get().is_none() {
            guard::ensure(&running(), command);
        }
        let leader = command.process_group(0).spawn()?;
        let id = leader.id().and_then(|id| i32::try_from(id).ok());
        let id = id
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::other("it has no process id"))?;
        note(id, true);
        Ok(Self {
            leader,
            id,
            gone: false,
        })
    }

    pub(crate) fn leader(&mut self) -> &mut Child {
        &mut self.leader
    }

    /// Waits for the leader to end, and kills what it leaves behind. Cancel safe.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        let status = self.leader.wait().await;
        // At once: with nobody left in the group, its number may be given to another.
        self.signal(Signal::KILL);
        let killed = Instant::now();
        while !self.is_gone() && killed.elapsed() < GONE_WITHIN {
            tokio::time::sleep(LOOK_AGAIN).await;
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
            // It is being cancelled; how it ended does not matter.
            let _ = self.ended().await;
        }
    }

    fn signal(&self, signal: Signal) {
        // Gone already is as good.
        let _ = kill_process_group(self.id, signal);
    }

    /// Whether the leader has been waited for, and whatever of its group has become a child of this
    /// process.
    fn is_gone(&mut self) -> bool {
        self.gone = self.gone || (!matches!(self.leader.try_wait(), Ok(None)) && reaped(self.id));
        self.gone
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.leader.id().is_some() {
            self.signal(Signal::KILL);
        }
        wait_until(|| self.is_gone());
        note(self.id, false);
    }
}

/// Groups that a process of this one's started; dropped, they are killed. That process may die without
/// ending them.
#[derive(Debug, Default)]
pub(crate) struct Adopted(Vec<Pid>);

impl Adopted {
    /// Takes note that a group has started, or is gone.
    pub(crate) fn note(&mut self, id: i32, runs: bool) {
        let Some(id) = Pid::from_raw(id) else { return };
        self.0.retain(|known| *known != id);
        if runs {
            self.0.push(id);
        }
        note(id, runs);
    }
}

impl Drop for Adopted {
    fn drop(&mut self) {
        for id in std::mem::take(&mut self.0) {
            let _ = kill_process_group(id, Signal::KILL);
            wait_until(|| reaped(id));
            note(id, false);
        }
    }
}

/// Whether nobody of a group is left whose parent this process has become: the first process of a
/// container is the parent of all orphans.
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
        std::thread::sleep(LOOK_AGAIN);
    }
}

/// Calls `told` with every group that starts (`true`) or is gone, from now on; the first call counts. Who is told has
/// to end them, should this process be killed.
pub(crate) fn on_change(told: fn(i32, bool)) {
    let _ = TOLD.set(told);
}

fn note(id: Pid, runs: bool) {
    let mut running = running();
    running.retain(|known| *known != id);
    if runs {
        running.push(id);
    }
    drop(running);
    match TOLD.get() {
        Some(told) => told(id.as_raw_nonzero().get(), runs),
        None => guard::note(id, runs),
    }
}

/// Kills every group of this process, which is about to end without dropping anything.
pub(crate) fn kill_all() {
    for id in running().iter() {
        let _ = kill_process_group(*id, Signal::KILL);
    }
}

/// Whether this process has started the group, and waits for its end.
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
        let mut group = Group::start(Command::new("sleep").arg("600")).unwrap();
        kill_all();
        let ended = tokio::time::timeout(Duration::from_secs(60), group.ended());
        let status = ended.await.unwrap().unwrap();
        assert_eq!(status.signal(), Some(9));
        let id = group.id;
        drop(group);
        assert!(!running().contains(&id));
    }
}
