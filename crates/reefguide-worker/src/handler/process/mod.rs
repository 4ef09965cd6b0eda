//! Processes that do a job's work: they are followed while they run, and end with the attempt.

mod cleanup_shell;
mod group;
mod lines;
mod zombies;

pub(crate) use group::{ChildGroups, ProcessGroup, kill_all, report_changes_to};
pub(crate) use lines::{Tail, log};
pub(crate) use zombies::reap_zombies;

use std::io;
use std::pin::pin;
use std::process::ExitStatus;
use std::time::Duration;

use futures_util::FutureExt;

/// Between SIGTERM and SIGKILL: part of the second that a cancelled handler has to return.
const GRACE: Duration = Duration::from_millis(700);
/// How long to keep reading after a process's end: a process that left its group may hold the pipes open.
const DRAIN: Duration = Duration::from_secs(1);

/// How a process ended, and how reading its output did.
pub(crate) struct Followed<R> {
    /// `None`: the process was made to end.
    pub(crate) status: Option<io::Result<ExitStatus>>,
    /// `None`: a process that it started still holds the pipes open.
    pub(crate) read: Option<R>,
}

/// Reads the output of a process until the process ends. When `enough` completes, the process is asked to end, and
/// killed a moment later.
pub(crate) async fn follow<R>(
    group: &mut ProcessGroup,
    reading: impl Future<Output = R>,
    enough: impl Future<Output = ()>,
) -> Followed<R> {
    let mut reading = pin!(reading.fuse());
    let mut ending = pin!(async {
        tokio::select! {
            status = group.ended() => return Some(status),
            () = enough => {}
        }
        group.end(GRACE).await;
        None
    });
    let mut read = None;
    let status = loop {
        tokio::select! {
            status = &mut ending => break status,
            done = &mut reading => read = Some(done),
        }
    };
    if read.is_none() {
        read = tokio::time::timeout(DRAIN, reading).await.ok();
    }
    Followed { status, read }
}

/// Describes the end of a process by a signal, such as `ended by signal 9 (SIGKILL)`.
pub(crate) fn ended_by(status: ExitStatus) -> String {
    // The standard library's text, such as `signal: 9 (SIGKILL)`.
    format!("ended by {status}").replacen("signal: ", "signal ", 1)
}
