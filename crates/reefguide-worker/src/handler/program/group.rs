//! A program with everything it starts: one process group, which ends together.

use std::io;
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpgid};
use tokio::process::{Child, Command};

/// How long to wait for a killed group to be gone.
const GONE_WITHIN: Duration = Duration::from_millis(500);
/// Between two looks whether it is gone.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// The groups there are, for [`kill_all`].
static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// A process group; dropped, it is killed, and gone before the drop is over.
#[derive(Debug)]
pub(super) struct Group {
    leader: Child,
    /// The group's number is that of its leader.
    id: Pid,
    gone: bool,
}

impl Group {
    pub(super) fn start(command: &mut Command) -> io::Result<Self> {
        let leader = command.process_group(0).spawn()?;
        let id = leader.id().and_then(|id| i32::try_from(id).ok());
        let id = id
            .and_then(Pid::from_raw)
            .ok_or_else(|| io::Error::other("it has no process id"))?;
        running().push(id);
        Ok(Self {
            leader,
            id,
            gone: false,
        })
    }

    pub(super) fn leader(&mut self) -> &mut Child {
        &mut self.leader
    }

    /// Waits for the leader to end, and kills what it leaves behind. Cancel safe.
    pub(super) async fn ended(&mut self) -> io::Result<ExitStatus> {
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
    pub(super) async fn end(&mut self, grace: Duration) {
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
    /// process: the first process of a container is the parent of all orphans.
    fn is_gone(&mut self) -> bool {
        while !self.gone {
            if matches!(self.leader.try_wait(), Ok(None)) {
                return false;
            }
            match waitpgid(self.id, WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => return false,
                Err(_) => self.gone = true,
            }
        }
        true
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if self.leader.id().is_some() {
            self.signal(Signal::KILL);
        }
        let killed = Instant::now();
        while !self.is_gone() && killed.elapsed() < GONE_WITHIN {
            std::thread::sleep(LOOK_AGAIN);
        }
        running().retain(|id| *id != self.id);
    }
}

/// Kills every program of this process, which is about to end without dropping anything.
pub(crate) fn kill_all() {
    for id in running().iter() {
        let _ = kill_process_group(*id, Signal::KILL);
    }
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
