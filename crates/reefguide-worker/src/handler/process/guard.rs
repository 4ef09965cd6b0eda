//! A shell that ends the process groups of this process, should it be killed before it can.
//!
//! It is told of each group over a pipe. That has an end when this process has, and then the shell kills what is left:
//! the groups it knows, and whatever has this process's mark in its environment, which may have been started a moment
//! before. The kernel's own signal for a parent's death would not do: it goes by the parent's thread, and only to the
//! first process of a group.

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
/// Reads `+ number` of a group that there is, and `- number` of one that is gone. Its first argument is the mark. What
/// is killed may have started something meanwhile, so it looks more than once.
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
for look in 1 2 3; do
  for marked in $(grep -ls "$mark" /proc/[0-9]*/environ); do
    marked=${marked#/proc/}
    kill -s KILL "${marked%/environ}"
  done
done
"#;

static GUARD: Mutex<Guard> = Mutex::new(Guard {
    mark: String::new(),
    shell: None,
    is_missed: false,
});

struct Guard {
    /// Unlike any other's.
    mark: String,
    shell: Option<(Child, ChildStdin)>,
    /// Whether it was said that there is none.
    is_missed: bool,
}

/// Makes sure that there is a guard, which knows the groups that are `running`, and marks the program of another one.
pub(super) fn ensure(running: &[Pid], command: &mut Command) {
    let mut guard = guard();
    if guard.mark.is_empty() {
        guard.mark = Uuid::new_v4().simple().to_string();
    }
    command.env(MARK, &guard.mark);
    if guard.is_alive() {
        return;
    }
    if let Err(error) = guard.start(running)
        && !guard.is_missed
    {
        guard.is_missed = true;
        tracing::warn!(%error, "programs of handlers will run on should this process be killed");
    }
}

/// Tells the guard, if there is one, of a group that has started or is gone.
pub(super) fn note(id: Pid, runs: bool) {
    let mut guard = guard();
    if guard.tell(id, runs).is_err() {
        // The next group that starts gets another.
        guard.end();
    }
}

impl Guard {
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
            // What is sent to this process's group is not for it.
            .process_group(0)
            .spawn()?;
        let stdin = shell.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        self.shell = Some((shell, stdin));
        running.iter().try_for_each(|id| self.tell(*id, true))
    }

    fn tell(&mut self, id: Pid, runs: bool) -> io::Result<()> {
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

fn guard() -> MutexGuard<'static, Guard> {
    GUARD.lock().unwrap_or_else(PoisonError::into_inner)
}
