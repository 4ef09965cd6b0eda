//! A shell that kills the process groups of this process if this process is killed first.
//!
//! The shell learns of each group through a pipe. When this process ends, the pipe closes, and the shell kills what is
//! left: the groups it knows, and every process that has this process's mark in its environment, which includes those
//! started a moment before. The kernel's parent-death signal would not be enough: it is sent when the *thread* that
//! started a process ends, and only to the leader of a group.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{self, Child, ChildStdin, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::Pid;
use tokio::process::Command;
use uuid::Uuid;

const SHELL: &str = "/bin/sh";
/// The variable with the mark.
const MARK: &str = "REEFGUIDE_WORKER_GUARD";
/// Reads `+ id` when a group starts and `- id` when it is gone. The first argument is the mark. A process may start
/// another one before it is killed, so the script searches more than once.
const SCRIPT: &str = r#"
mark=$1
shift
while read -r what id; do
  case $what in
    +) set -- "$@" "$id" ;;
    -) left=; for known; do [ "$known" = "$id" ] || left="$left $known"; done; set -- $left ;;
  esac
done
for id; do kill -s KILL -- "-$id"; done
for round in 1 2 3; do
  for marked in $(grep -ls "$mark" /proc/[0-9]*/environ); do
    marked=${marked#/proc/}
    kill -s KILL "${marked%/environ}"
  done
done
"#;

static CLEANUP: Mutex<Cleanup> = Mutex::new(Cleanup {
    mark: String::new(),
    shell: None,
    warned: false,
});

struct Cleanup {
    /// Unique to this process.
    mark: String,
    shell: Option<(Child, ChildStdin)>,
    /// Whether the log has the warning that there is no shell.
    warned: bool,
}

/// Makes sure that the shell runs and knows the `running` groups, and marks the program that `command` starts.
pub(super) fn ensure(running: &[Pid], command: &mut Command) {
    let mut cleanup = cleanup();
    if cleanup.mark.is_empty() {
        cleanup.mark = Uuid::new_v4().simple().to_string();
    }
    command.env(MARK, &cleanup.mark);
    if cleanup.is_alive() {
        return;
    }
    if let Err(error) = cleanup.start(running)
        && !cleanup.warned
    {
        cleanup.warned = true;
        tracing::warn!(%error, "programs of handlers will keep running if this process is killed");
    }
}

/// Tells the shell, if it runs, that a group has started or is gone.
pub(super) fn set_running(id: Pid, runs: bool) {
    let mut cleanup = cleanup();
    if cleanup.send(id, runs).is_err() {
        // The start of the next group starts another shell.
        cleanup.end();
    }
}

impl Cleanup {
    fn is_alive(&mut self) -> bool {
        let ended = |(shell, _): &mut (Child, ChildStdin)| !matches!(shell.try_wait(), Ok(None));
        if self.shell.as_mut().is_some_and(ended) {
            self.shell = None;
        }
        self.shell.is_some()
    }

    fn start(&mut self, running: &[Pid]) -> io::Result<()> {
        let mut shell = process::Command::new(SHELL)
            .args(["-c", SCRIPT, "guard"])
            .arg(format!("{MARK}={}", self.mark))
            // It needs no secrets.
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A signal to this process's group must not end the shell.
            .process_group(0)
            .spawn()?;
        let stdin = shell.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        self.shell = Some((shell, stdin));
        running.iter().try_for_each(|id| self.send(*id, true))
    }

    fn send(&mut self, id: Pid, runs: bool) -> io::Result<()> {
        let Some((_, stdin)) = &mut self.shell else {
            return Ok(());
        };
        let sign = if runs { '+' } else { '-' };
        stdin.write_all(format!("{sign} {}\n", id.as_raw_nonzero()).as_bytes())
    }

    fn end(&mut self) {
        if let Some((mut shell, _)) = self.shell.take() {
            let _ = shell.kill();
            let _ = shell.wait();
        }
    }
}

fn cleanup() -> MutexGuard<'static, Cleanup> {
    CLEANUP.lock().unwrap_or_else(PoisonError::into_inner)
}
