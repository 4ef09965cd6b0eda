//! What a chore runs in: a runtime, an ear for signals, and a folder that goes with it.

use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::task::Poll;
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::{Doing, Failure};

/// How long file operations under way may take to finish after the chore has ended.
const FINISH_WITHIN: Duration = Duration::from_secs(10);

/// Runs one chore and leaves nothing of it behind, however it ends.
///
/// From its making on, SIGINT, SIGTERM and SIGHUP no longer end the process: they drop the chore's
/// future, and with it the processes and servers the chore owns.
pub(crate) struct Session {
    // Dropped in this order: nothing may write to the folder when it is removed.
    runtime: Runtime,
    signals: Vec<(&'static str, u8, Signal)>,
    scratch: TempDir,
}

/// Why a chore did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    /// A signal came.
    #[error("{name}: stopped, nothing is left behind")]
    Signalled {
        /// The signal's name.
        name: &'static str,
        /// The signal's number.
        number: u8,
    },
    /// Something failed.
    #[error("error: {0}")]
    Failed(#[from] Failure),
}

impl Ended {
    /// 1 for a failure, 128 and the signal's number for a signal.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Signalled { number, .. } => ExitCode::from(128 + number),
            Self::Failed(_) => ExitCode::FAILURE,
        }
    }
}

impl Session {
    /// Begins a session; `name` begins the name of its folder.
    pub(crate) fn begin(name: &str) -> Result<Self, Failure> {
        let runtime = Runtime::new().doing("starting the runtime")?;
        let signals = {
            let _entered = runtime.enter();
            [
                ("SIGINT", SignalKind::interrupt()),
                ("SIGTERM", SignalKind::terminate()),
                ("SIGHUP", SignalKind::hangup()),
            ]
            .into_iter()
            .map(|(name, kind)| Ok((name, kind.as_raw_value() as u8, signal(kind)?)))
            .collect::<io::Result<_>>()
            .doing("watching signals")?
        };
        let scratch = tempfile::Builder::new()
            .prefix(&format!("{name}-"))
            .tempdir()
            .doing("making a temporary folder")?;
        Ok(Self {
            runtime,
            signals,
            scratch,
        })
    }

    /// The folder that goes with the session.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Runs the chore, ends the runtime and removes the folder.
    pub(crate) fn run(self, chore: impl Future<Output = Result<(), Failure>>) -> Result<(), Ended> {
        // Should the chore panic, these are dropped from the last to the first.
        let Self {
            scratch,
            mut signals,
            runtime,
        } = self;
        let done = runtime.block_on(async {
            tokio::select! {
                biased;
                (name, number) = first(&mut signals) => Err(Ended::Signalled { name, number }),
                done = chore => done.map_err(Ended::Failed),
            }
        });
        runtime.shutdown_timeout(FINISH_WITHIN);
        let folder = scratch.path().to_owned();
        let removed = scratch
            .close()
            .doing(format_args!("removing {}", folder.display()));
        done.and(removed.map_err(Ended::Failed))
    }
}

/// The first signal to come.
async fn first(signals: &mut [(&'static str, u8, Signal)]) -> (&'static str, u8) {
    poll_fn(|context| {
        let came = signals.iter_mut().find_map(|(name, number, signal)| {
            signal
                .poll_recv(context)
                .is_ready()
                .then_some((*name, *number))
        });
        came.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}
