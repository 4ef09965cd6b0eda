//! Zombies: the first process of a container becomes the parent of every orphan in it, and an orphan that ends stays
//! as a zombie until its parent waits for it.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, WaitOptions, getpid, waitpid};

use super::group::is_running;

/// Between two searches. A handler that waits for its child has done so by then.
const INTERVAL: Duration = Duration::from_secs(30);

/// Reaps orphans for as long as it is polled, if this is the first process.
pub(crate) async fn reap_zombies() {
    if getpid() != Pid::INIT {
        return;
    }
    let mut reaper = Reaper::default();
    loop {
        tokio::time::sleep(INTERVAL).await;
        reaper.reap();
    }
}

#[derive(Default)]
struct Reaper {
    /// The zombies of the last search.
    seen: Vec<Pid>,
}

impl Reaper {
    /// Reaps the zombies that were there at the last search and that no other code has waited for since.
    fn reap(&mut self) {
        let (seen, now) = (std::mem::take(&mut self.seen), zombies());
        for id in now {
            match seen.contains(&id) {
                // Other code may have waited for it since.
                true => drop(waitpid(Some(id), WaitOptions::NOHANG)),
                false => self.seen.push(id),
            }
        }
    }
}

/// Children that have ended and are in none of the groups that this process waits for. A process that a handler starts
/// itself is in this process's own group, and the handler waits for it.
fn zombies() -> Vec<Pid> {
    let Some(this) = Stat::of("self") else {
        return Vec::new();
    };
    let parent = getpid().as_raw_nonzero().get();
    let is_orphan = |stat: &Stat| {
        let left = stat.group != this.group && !Pid::from_raw(stat.group).is_some_and(is_running);
        stat.has_ended && stat.parent == parent && left
    };
    let zombie = |id: &str| {
        Stat::of(id).filter(is_orphan)?;
        Pid::from_raw(id.parse().ok()?)
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| zombie(entry.file_name().to_str()?))
        .collect()
}

/// The kernel's `/proc/…/stat` of a process. A group outside this process's namespace is 0.
struct Stat {
    has_ended: bool,
    parent: i32,
    group: i32,
}

impl Stat {
    fn of(id: &str) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name before it may contain any character.
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
    use crate::handler::process::ProcessGroup;
    use std::process;
    use tokio::process::Command;

    /// Is set for the test that runs as the first process.
    const FIRST: &str = "REEFGUIDE_WORKER_TEST_FIRST";

    async fn until(what: impl Fn() -> bool) {
        let checking = async {
            while !what() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(20), checking);
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
        let mut group = ProcessGroup::start(&mut shell).unwrap();
        assert_eq!(group.ended().await.unwrap().code(), Some(3));
        drop(group);
        // A handler's process and a program that have not been waited for yet.
        let mut own = process::Command::new("true").spawn().unwrap();
        let mut program = ProcessGroup::start(Command::new("sh").args(["-c", "exit 4"])).unwrap();
        until(|| zombies().len() == 1).await;
        let mut reaper = Reaper::default();
        reaper.reap();
        assert_eq!(zombies().len(), 1, "other code may be about to wait for it");
        reaper.reap();
        assert_eq!(zombies(), []);
        assert!(own.wait().unwrap().success());
        assert_eq!(program.ended().await.unwrap().code(), Some(4));
    }

    #[test]
    fn the_first_process_of_a_container_reaps_orphans_and_no_process_that_others_wait_for() {
        let test = "handler::process::zombies::tests::child_that_is_the_first_process";
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
            eprintln!("skipped: no process can create a namespace here");
            return;
        }
        let ended = unshare(&std::env::current_exe().unwrap(), &["--exact", test]).unwrap();
        assert!(ended.status.success(), "{ended:?}");
    }
}
