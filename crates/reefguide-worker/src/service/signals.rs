//! SIGTERM and SIGINT: the first asks for the end, the second is the end.

use std::sync::{Arc, OnceLock};
use std::{fmt, io, process, thread};

use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit::Exit;

/// A signal that ends the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM, from ECS or `docker stop`.
    Terminate,
    /// SIGINT, from Ctrl-C.
    Interrupt,
}

impl Signal {
    /// Its number, the same on every Unix.
    pub const fn number(self) -> u8 {
        match self {
            Self::Interrupt => 2,
            Self::Terminate => 15,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
        })
    }
}

/// What [`watch`] has seen; clones share it.
#[derive(Clone, Debug)]
pub struct Signals(Arc<OnceLock<Signal>>);

impl Signals {
    /// The first signal, once there was one.
    pub fn first(&self) -> Option<Signal> {
        self.0.get().copied()
    }
}

/// Watches for SIGTERM and SIGINT until the process ends; to be called once.
///
/// The first signal cancels `stop`. The second runs `cleanup` and ends the process with
/// [`Exit::Signalled`]; a third does not wait for `cleanup`. The watch has a thread and a runtime of
/// its own: a handler that blocks every thread of the worker's runtime does not hold up the end.
///
/// # Errors
/// If the thread cannot be started or the signals cannot be watched.
pub fn watch(
    stop: CancellationToken,
    cleanup: impl FnOnce() + Send + 'static,
) -> io::Result<Signals> {
    let runtime = runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut terminate, mut interrupt) = {
        let _entered = runtime.enter();
        (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        )
    };
    let signals = Signals(Arc::default());
    let first = Arc::clone(&signals.0);
    let mut next = async move || {
        tokio::select! {
            _ = terminate.recv() => Signal::Terminate,
            _ = interrupt.recv() => Signal::Interrupt,
        }
    };
    let watching = async move {
        let signal = next().await;
        // Set before anybody can see the token cancelled. Nobody else sets it.
        let _ = first.set(signal);
        tracing::info!(%signal, "stopping; a second signal ends the process at once");
        stop.cancel();
        let signal = next().await;
        tracing::warn!(%signal, "ending at once");
        let cleanup = tokio::task::spawn_blocking(cleanup);
        tokio::select! {
            _ = cleanup => {}
            _ = next() => {}
        }
        process::exit(Exit::Signalled(signal).code().into());
    };
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || runtime.block_on(watching))?;
    Ok(signals)
}
