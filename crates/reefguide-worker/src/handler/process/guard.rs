//! A shell that ends the process groups of this process, should it be killed before it can.
//!
//! It is told of each group over a pipe. That has an end when this process has, and then the shell kills what is left.
//! The kernel's own signal for a parent's death would not do: it goes by the parent's thread, to the first process of
//! a group only, and not at all to a program with more rights.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::Pid;

const SHELL: &str = "/bin/sh";
/// Reads `+ number` of a group that there is, and `- number` of one that is gone.
const SCRIPT: &str = r#"
while read -r what id; do
  case $what in
    +) set -- "$@" "$id" ;;
    -) left=; for known; do [ "$known" = "$id" ] || left="$left $known"; done; set -- $left ;;
  esac
done
for id; do kill -s KILL -- "-$id"; done
"#;

static GUARD: Mutex<Guard> = Mutex::new(Guard {
    shell: None,
    is_missed: false,
});

struct Guard {
    shell: Option<(Child, ChildStdin)>,
    /// Whether it was said that there is none.
    is_missed: bool,
}

/// Makes sure that there is a guard, which knows the groups that are `running`; before another one is started.
pub(super) fn ensure(running: &[Pid]) {
    let mut guard = guard();
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
        let mut shell = Command::new(SHELL)
            .args(["-c", SCRIPT])
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
