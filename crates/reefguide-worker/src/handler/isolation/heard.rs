//! What a worker learns of a handler's process, and what it makes of it.

use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::Notify;

use super::channel::Said;
use super::memory;
use crate::handler::JobError;
use crate::handler::process::{Adopted, Tail, ended_by};
use crate::log_queue;
use crate::observe::job_log::Lines;

/// What has been learnt so far.
pub(super) struct Heard {
    process: Option<u32>,
    /// The job's own log, if it is kept.
    job_log: Option<Lines>,
    so_far: Mutex<SoFar>,
    answered: Notify,
}

#[derive(Default)]
struct SoFar {
    began: bool,
    answer: Option<Result<Value, JobError>>,
    tail: Tail,
    /// In KiB.
    peak: u64,
    groups: Adopted,
}

impl Heard {
    pub(super) fn of(process: Option<u32>) -> Self {
        Self {
            process,
            job_log: Lines::current(),
            so_far: Mutex::default(),
            answered: Notify::new(),
        }
    }

    /// Listens to the process until it has ended.
    pub(super) async fn listen(&self, to: impl AsyncRead + Unpin) -> io::Result<()> {
        let mut lines = BufReader::new(to).lines();
        loop {
            match lines.next_line().await {
                Ok(Some(line)) => self.said(&line)?,
                // It ended, and had not read all that it was told.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
                ended => return ended.map(drop),
            }
        }
    }

    /// Takes note of what the process says.
    fn said(&self, line: &str) -> io::Result<()> {
        let answer = match serde_json::from_str(line)? {
            Said::Log(lines) => {
                // With colours they are for a terminal, where they can be seen.
                let plain = lines.lines().filter(|line| !line.contains('\u{1b}'));
                plain.for_each(|line| self.line(&message(line)));
                if let Some(log) = &self.job_log {
                    log.add_foreign(&lines);
                }
                // As they are, like those of this process.
                let _ = log_queue::stderr().write_all(lines.as_bytes());
                return Ok(());
            }
            Said::Group { id, runs } => {
                self.so_far().groups.note(id, runs);
                return Ok(());
            }
            Said::Began => {
                self.so_far().began = true;
                return Ok(());
            }
            Said::Returned(result) => Ok(result),
            Said::Failed {
                retryable,
                cause,
                reason,
            } => Err(if retryable {
                JobError::retryable(reason)
            } else {
                JobError::permanent(reason)
            }
            .because(cause)),
        };
        self.so_far().answer = Some(answer);
        self.answered.notify_one();
        Ok(())
    }

    /// Takes note of a log line.
    pub(super) fn line(&self, line: &str) {
        // It may be the last.
        self.look();
        self.so_far().tail.push(line);
    }

    /// Looks how much memory the process has had.
    pub(super) fn look(&self) {
        if let Some(peak) = self.process.and_then(memory::peak) {
            let mut so_far = self.so_far();
            so_far.peak = so_far.peak.max(peak);
        }
    }

    /// Waits for the handler's answer.
    pub(super) async fn answered(&self) {
        self.answered.notified().await;
    }

    /// The handler's answer, or how its process ended without one; with no status it was made to.
    pub(super) fn outcome(
        self,
        status: Option<ExitStatus>,
        out_of_memory: bool,
    ) -> Result<Value, JobError> {
        let so_far = self
            .so_far
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let peak_mib = Some(so_far.peak / 1024).filter(|mib| *mib > 0);
        tracing::info!(peak_mib, "isolated handler ended");
        let how = status.map(|status| how(status, out_of_memory));
        let Some(answer) = so_far.answer else {
            let Some(how) = how else {
                return Err(JobError::permanent("cancelled"));
            };
            let memory = peak_mib.map(|mib| format!(", peak memory {mib} MiB"));
            let memory = memory.unwrap_or_default();
            let lines = so_far.tail.quoted();
            let lines = lines.map_or("; it logged nothing".into(), |lines| {
                format!("; last log lines: {lines}")
            });
            let before = match so_far.began {
                true => "it had a result",
                false => "it began",
            };
            let said = format!("isolated handler {how} before {before}{memory}{lines}");
            return Err(match so_far.began {
                true => JobError::permanent(said),
                false => JobError::workers(said),
            });
        };
        if let Some(how) = how.filter(|_| !status.is_some_and(|status| status.success())) {
            tracing::warn!(
                reason = how,
                "isolated handler ended badly after it had a result, which counts"
            );
        }
        answer
    }

    fn so_far(&self) -> MutexGuard<'_, SoFar> {
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn how(status: ExitStatus, out_of_memory: bool) -> String {
    let memory = match status.signal() {
        Some(9) if out_of_memory => " by the kernel, as memory ran out,",
        Some(9) => ", perhaps because memory ran out,",
        _ => "",
    };
    match status.code() {
        Some(code) => format!("ended with exit code {code}"),
        None => format!("was {}{memory}", ended_by(status)),
    }
}

/// What a log line says, without when, where and of which job: all that is known.
fn message(line: &str) -> String {
    let Ok(Value::Object(fields)) = serde_json::from_str(line) else {
        return line.to_owned();
    };
    let known = [
        "timestamp",
        "level",
        "target",
        "job_id",
        "job_type",
        "assignment_id",
        "trace_id",
    ];
    let mut message = String::new();
    for (name, value) in fields {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        match name.as_str() {
            "message" => message.insert_str(0, &value),
            name if known.contains(&name) => {}
            name => message += &format!(" {name}={value}"),
        }
    }
    message
}
