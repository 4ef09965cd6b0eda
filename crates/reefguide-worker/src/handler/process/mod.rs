//! Processes that do a job's work: followed while they run, ended together with it.

mod group;
mod guard;
mod lines;
mod orphans;

pub(crate) use group::{Adopted, Group, kill_all, on_change};
pub(crate) use lines::{Tail, log};
pub(crate) use orphans::reap_orphans;

use std::io;
use std::pin::pin;
use std::process::ExitStatus;
use std::time::Duration;

use futures_util::FutureExt;

/// Between SIGTERM and SIGKILL. A cancelled handler has a second to return, and this is a part of it.
const GRACE: Duration = Duration::from_millis(700);
/// How long to read on after a process's end, should somebody who left its group hold the pipes open.
const DRAIN: Duration = Duration::from_secs(1);

/// What became of a process, and of reading what it wrote.
pub(crate) struct Followed<R> {
    /// `None`: it had not ended when there was enough of it, and so it was ended.
    pub(crate) status: Option<io::Result<ExitStatus>>,
    /// `None`: somebody whom it started holds the pipes open still.
    pub(crate) read: Option<R>,
}

/// Reads what a process writes until it has ended. When `enough` fires it is asked to end, and killed
/// a moment later.
pub(crate) async fn follow<R>(
    group: &mut Group,
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

/// What to say of a process that a signal ended, such as `ended by signal 9 (SIGKILL)`.
pub(crate) fn ended_by(status: ExitStatus) -> String {
    // The standard library's text, such as `signal: 9 (SIGKILL)`.
    format!("ended by {status}").replacen("signal: ", "signal ", 1)
}
