//! SIGTERM, SIGINT and SIGHUP: the first signal asks the process to stop, the second ends it at once.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Poll;
use std::time::Duration;
use std::{fmt, io, process, thread};

use rustix::process::{getpid, kill_process};
use tokio::runtime;
use tokio::signal::unix;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use crate::{Exit, Signal, log_queue};

/// How long cleaning up may take at the end, unless there is another signal.
const CLEAN_UP: Duration = Duration::from_secs(5);
/// How long exit handlers of libraries may take.
const LIBRARIES: Duration = Duration::from_secs(1);

/// How signals are handled, and which one came first; clones share it.
#[derive(Clone, Debug)]
pub struct Signals(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    first: OnceLock<Signal>,
    plan: Mutex<Plan>,
}

#[derive(Default)]
struct Plan {
    /// What the next signal cancels. If there is nothing, the signal ends the process.
    stop: Option<CancellationToken>,
    clean_up: Option<Box<dyn FnOnce() + Send>>,
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut plan = f.debug_struct("Plan");
        plan.field("stop", &self.stop).finish_non_exhaustive()
    }
}

impl Signals {
    /// The first signal, if there has been one.
    pub fn first(&self) -> Option<Signal> {
        self.0.first.get().copied()
    }

    /// Makes the next signal cancel `stop`. Only the signal after it ends the process.
    pub fn stop_first(&self, stop: CancellationToken) {
        self.plan().stop = Some(stop);
    }

    /// Runs `clean_up` before a signal ends the process.
    pub fn clean_up_with(&self, clean_up: impl FnOnce() + Send + 'static) {
        self.plan().clean_up = Some(Box::new(clean_up));
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches for SIGTERM, SIGINT and SIGHUP until the process ends. Call this once. If the process ignores SIGHUP, as under
/// `nohup`, it still does ([`Signal::awaited`]).
///
/// The first signal cancels `stop`. The second runs `clean_up`, for at most 5 s, and ends the process with
/// [`Exit::Signalled`]; a third does not wait for `clean_up`. Blocked threads do not delay the end: the watch has its own
/// thread and runtime, it acts before it logs, and logging and `clean_up` run on other threads.
///
/// # Errors
/// If the thread cannot be started or the signals cannot be watched.
pub fn watch(
    stop: CancellationToken,
    clean_up: impl FnOnce() + Send + 'static,
) -> io::Result<Signals> {
    let signals = listen()?;
    signals.clean_up_with(clean_up);
    signals.stop_first(stop);
    Ok(signals)
}

/// Like [`watch`], but until there is something to [stop](Signals::stop_first), the first signal ends the process.
///
/// # Errors
/// As for [`watch`].
pub fn listen() -> io::Result<Signals> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let entered = runtime.enter();
    let streams = Signal::awaited()
        .into_iter()
        .map(|signal| Ok((signal, unix::signal(signal.kind())?)));
    let mut streams = streams.collect::<io::Result<Vec<_>>>()?;
    drop(entered);
    let next = async move || {
        poll_fn(|context| {
            for (signal, stream) in &mut streams {
                if stream.poll_recv(context).is_ready() {
                    return Poll::Ready(*signal);
                }
            }
            Poll::Pending
        })
        .await
    };
    let signals = Signals(Arc::default());
    let watched = signals.clone();
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || runtime.block_on(obey(next, watched)))?;
    Ok(signals)
}

async fn obey(mut next: impl AsyncFnMut() -> Signal, signals: Signals) {
    let signal = loop {
        let signal = next().await;
        // Set first, because the cancelled token makes others read it.
        let _ = signals.0.first.set(signal);
        let Some(stop) = signals.plan().stop.take() else {
            break signal;
        };
        stop.cancel();
        spawn_blocking(
            move || tracing::info!(%signal, "stopping; a second signal ends the process at once"),
        );
    };
    let clean_up = signals.plan().clean_up.take();
    let ending = spawn_blocking(move || {
        clean_up.into_iter().for_each(|clean_up| clean_up());
        tracing::warn!(%signal, "ending at once");
        log_queue::flush(log_queue::LAST_LINES);
    });
    tokio::select! {
        _ = ending => {}
        _ = next() => {}
        () = tokio::time::sleep(CLEAN_UP) => {}
    }
    // `exit` runs the exit handlers of libraries, which may block.
    let _ = thread::Builder::new().spawn(|| {
        thread::sleep(LIBRARIES);
        let _ = kill_process(getpid(), rustix::process::Signal::KILL);
        // The first process of a container cannot kill itself with a signal.
        process::abort();
    });
    process::exit(Exit::Signalled(signal).code().into());
}
