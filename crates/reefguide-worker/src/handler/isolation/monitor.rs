//! The worker's view of a handler's process: its messages, its memory and the result that follows from them.

use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::Notify;

use super::channel::ChildMessage;
use super::memory;
use crate::handler::JobError;
use crate::handler::process::{ChildGroups, Tail, ended_by};
use crate::log_queue;
use crate::observe::job_log::Lines;

/// Collects what a handler's process sends and writes.
pub(super) struct ChildMonitor {
    process: Option<u32>,
    /// The job's log, if one is stored.
    job_log: Option<Lines>,
    state: Mutex<ChildState>,
    has_result: Notify,
}

#[derive(Default)]
struct ChildState {
    started: bool,
    result: Option<Result<Value, JobError>>,
    tail: Tail,
    /// The peak memory in KiB.
    peak: u64,
    groups: ChildGroups,
}

impl ChildMonitor {
    pub(super) fn new(process: Option<u32>) -> Self {
        Self {
            process,
            job_log: Lines::current(),
            state: Mutex::default(),
            has_result: Notify::new(),
        }
    }

    /// Receives the messages of the process until it ends.
    pub(super) async fn receive_all(&self, from: impl AsyncRead + Unpin) -> io::Result<()> {
        let mut lines = BufReader::new(from).lines();
        loop {
            match lines.next_line().await {
                Ok(Some(line)) => self.receive(&line)?,
                // It ended before it read everything that was sent to it.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
                ended => return ended.map(drop),
            }
        }
    }

    fn receive(&self, line: &str) -> io::Result<()> {
        match serde_json::from_str(line)? {
            ChildMessage::Log(lines) => {
                // Lines with colours go to a terminal, where people see them. An error does not quote them.
                let plain = lines.lines().filter(|line| !line.contains('\u{1b}'));
                plain.for_each(|line| self.push_line(&message(line)));
                if let Some(log) = &self.job_log {
                    log.add_foreign(&lines);
                }
                // The process has formatted them already.
                let _ = log_queue::stderr().write_all(lines.as_bytes());
            }
            ChildMessage::Group { id, runs } => self.state().groups.set_running(id, runs),
            ChildMessage::Started => self.state().started = true,
            ChildMessage::Returned(result) => self.set_result(Ok(result)),
            ChildMessage::Failed {
                retryable,
                cause,
                reason,
            } => {
                let error = match retryable {
                    true => JobError::retryable(reason),
                    false => JobError::permanent(reason),
                };
                self.set_result(Err(error.because(cause)));
            }
        }
        Ok(())
    }

    fn set_result(&self, result: Result<Value, JobError>) {
        self.state().result = Some(result);
        self.has_result.notify_one();
    }

    /// Keeps a log line, for an error to quote.
    pub(super) fn push_line(&self, line: &str) {
        // The line may be the last before a crash.
        self.sample_memory();
        self.state().tail.push(line);
    }

    /// Reads the peak memory of the process, which is not known after its end.
    pub(super) fn sample_memory(&self) {
        if let Some(peak) = self.process.and_then(memory::peak) {
            let mut state = self.state();
            state.peak = state.peak.max(peak);
        }
    }

    /// Waits for the handler's result.
    pub(super) async fn result_received(&self) {
        self.has_result.notified().await;
    }

    /// The handler's result, or how its process ended without one. `status` is `None` if the process was made to end.
    pub(super) fn into_result(
        self,
        status: Option<ExitStatus>,
        out_of_memory: bool,
    ) -> Result<Value, JobError> {
        let state = self
            .state
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        let peak_mib = Some(state.peak / 1024).filter(|mib| *mib > 0);
        tracing::info!(peak_mib, "isolated handler ended");
        let end = status.map(|status| describe_end(status, out_of_memory));
        let Some(result) = state.result else {
            let Some(end) = end else {
                return Err(JobError::permanent("cancelled"));
            };
            let memory =
                peak_mib.map_or_else(String::new, |mib| format!(", peak memory {mib} MiB"));
            let lines = state.tail.quoted();
            let lines = lines.map_or("; it logged nothing".into(), |lines| {
                format!("; last log lines: {lines}")
            });
            let before = match state.started {
                true => "it had a result",
                false => "it began",
            };
            let reason = format!("isolated handler {end} before {before}{memory}{lines}");
            return Err(match state.started {
                true => JobError::permanent(reason),
                false => JobError::not_started(reason),
            });
        };
        if let Some(end) = end.filter(|_| !status.is_some_and(|status| status.success())) {
            tracing::warn!(
                reason = end,
                "isolated handler crashed after it returned, its result counts"
            );
        }
        result
    }

    fn state(&self) -> MutexGuard<'_, ChildState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn describe_end(status: ExitStatus, out_of_memory: bool) -> String {
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

/// The message and fields of a log line, without the time, the place and the job, which the worker knows.
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
