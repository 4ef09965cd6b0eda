//! What a chore runs in: a runtime, signal handlers and a temporary folder.

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

/// How long file operations may take to finish after the chore has ended.
const FINISH_WITHIN: Duration = Duration::from_secs(10);

/// Runs one chore and removes everything that it leaves behind, however it ends.
///
/// Once a session has begun, SIGINT, SIGTERM and SIGHUP do not end the process. They drop the chore's future, and with
/// it the processes and servers that the chore owns.
pub(crate) struct Session {
    // Dropped in this order, since nothing may write to the folder while it is removed.
    runtime: Runtime,
    signals: Vec<(&'static str, u8, Signal)>,
    scratch: TempDir,
}

/// Why a chore was not completed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Ended {
    /// A signal arrived.
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
    /// 1 for a failure, 128 plus the signal's number for a signal.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Signalled { number, .. } => ExitCode::from(128 + number),
            Self::Failed(_) => ExitCode::FAILURE,
        }
    }
}

impl Session {
    /// Begins a session. The name of its temporary folder begins with `name`.
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

    /// The temporary folder, which is removed when the session ends.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Runs the chore, ends the runtime and removes the folder.
    pub(crate) fn run(self, chore: impl Future<Output = Result<(), Failure>>) -> Result<(), Ended> {
        // If the chore panics, these are dropped from the last to the first.
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

/// Waits for the first signal.
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
