//! Processes that this one never started: the first process of a container is the parent of all that lose theirs, and
//! has to take note of their ends, or they stay as zombies.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, WaitOptions, getpid, waitpid};

use super::group::is_running;

/// Between two looks. A parent that waits for its child has done so by then.
const INTERVAL: Duration = Duration::from_secs(30);

/// Reaps them for as long as this runs, if this is the first process.
pub(crate) async fn reap_orphans() {
    if getpid() != Pid::INIT {
        return;
    }
    let mut orphans = Orphans::default();
    loop {
        tokio::time::sleep(INTERVAL).await;
        orphans.look();
    }
}

#[derive(Default)]
struct Orphans {
    /// Those that had ended at the last look.
    ended: Vec<Pid>,
}

impl Orphans {
    /// Reaps what had ended at the last look, and no parent has waited for since.
    fn look(&mut self) {
        let (known, now) = (std::mem::take(&mut self.ended), zombies());
        for id in now {
            match known.contains(&id) {
                // It may be gone by now.
                true => drop(waitpid(Some(id), WaitOptions::NOHANG)),
                false => self.ended.push(id),
            }
        }
    }
}

/// Children that have ended and left all groups that this process knows. What a handler starts by itself is in this
/// process's own group, and is the handler's to wait for.
fn zombies() -> Vec<Pid> {
    let Some(this) = Stat::of("self") else {
        return Vec::new();
    };
    let parent = getpid().as_raw_nonzero().get();
    let is_one = |stat: &Stat| {
        let left = stat.group != this.group && !Pid::from_raw(stat.group).is_some_and(is_running);
        stat.has_ended && stat.parent == parent && left
    };
    let zombie = |id: &str| {
        Stat::of(id).filter(is_one)?;
        Pid::from_raw(id.parse().ok()?)
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| zombie(entry.file_name().to_str()?))
        .collect()
}

/// What the kernel says of a process. A group outside of this process's namespace is 0.
struct Stat {
    has_ended: bool,
    parent: i32,
    group: i32,
}

impl Stat {
    fn of(id: &str) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name before may have any character in it.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut fields = fields.split_whitespace();
        Some(Self {
            has_ended: fields.next()? == "Z",
            parent: fields.next()?.parse().ok()?,
            group: fields.next()?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler::process::Group;
    use std::process;
    use tokio::process::Command;

    /// Set for the first process.
    const FIRST: &str = "REEFGUIDE_WORKER_TEST_FIRST";

    async fn until(what: impl Fn() -> bool) {
        let looking = async {
            while !what() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(20), looking);
        in_time.await.unwrap();
    }

    #[tokio::test]
    async fn child_that_is_the_first_process() {
        if std::env::var_os(FIRST).is_none() {
            return;
        }
        assert_eq!(getpid(), Pid::INIT);
        // A process that leaves its group and its parent.
        let folder = tempfile::tempdir().unwrap();
        let script =
            "mkfifo pipe; setsid sh -c 'echo left >pipe; sleep 0.3' & read -r left <pipe; exit 3";
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).current_dir(folder.path());
        let mut group = Group::start(&mut shell).unwrap();
        assert_eq!(group.ended().await.unwrap().code(), Some(3));
        drop(group);
        // Processes of handlers that have not been waited for yet, and of a program.
        let mut own = process::Command::new("true").spawn().unwrap();
        let mut program = Group::start(Command::new("sh").args(["-c", "exit 4"])).unwrap();
        until(|| zombies().len() == 1).await;
        let mut orphans = Orphans::default();
        orphans.look();
        assert_eq!(zombies().len(), 1, "it may have been started by somebody");
        orphans.look();
        assert_eq!(zombies(), []);
        assert!(own.wait().unwrap().success());
        assert_eq!(program.ended().await.unwrap().code(), Some(4));
    }

    #[test]
    fn the_first_process_of_a_container_reaps_orphans_and_nothing_that_others_wait_for() {
        let test = "handler::process::orphans::tests::child_that_is_the_first_process";
        let unshare = |program: &std::path::Path, args: &[&str]| {
            process::Command::new("unshare")
                .args([
                    "--user",
                    "--map-root-user",
                    "--pid",
                    "--fork",
                    "--mount-proc",
                ])
                .arg(program)
                .args(args)
                .env(FIRST, "1")
                .output()
        };
        if !unshare("true".as_ref(), &[]).is_ok_and(|tried| tried.status.success()) {
            eprintln!("not tried: no process can be the first of anything here");
            return;
        }
        let ended = unshare(&std::env::current_exe().unwrap(), &["--exact", test]).unwrap();
        assert!(ended.status.success(), "{ended:?}");
    }
}
