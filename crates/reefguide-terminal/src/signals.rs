//! SIGTERM, SIGINT and SIGHUP: the first asks for the end, the second is the end.

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

/// How long cleaning up may take at the end, if there is no further signal.
const CLEAN_UP: Duration = Duration::from_secs(5);
/// How long libraries may take to do what they have registered for the end of the process.
const LIBRARIES: Duration = Duration::from_secs(1);

/// What is done about signals, and what came; clones share it.
#[derive(Clone, Debug)]
pub struct Signals(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    first: OnceLock<Signal>,
    plan: Mutex<Plan>,
}

#[derive(Default)]
struct Plan {
    /// What the next signal cancels; without it the signal ends the process.
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
    /// The first signal, once there was one.
    pub fn first(&self) -> Option<Signal> {
        self.0.first.get().copied()
    }

    /// Lets the next signal cancel `stop`, and only the one after it end the process.
    pub fn stop_first(&self, stop: CancellationToken) {
        self.plan().stop = Some(stop);
    }

    /// Has this done before a signal ends the process.
    pub fn clean_up_with(&self, clean_up: impl FnOnce() + Send + 'static) {
        self.plan().clean_up = Some(Box::new(clean_up));
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.0.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Watches for SIGTERM, SIGINT and SIGHUP until the process ends; to be called once. A SIGHUP that is ignored,
/// as `nohup` has it, stays so ([`Signal::awaited`]).
///
/// The first signal cancels `stop`. The second runs `clean_up`, for 5 s at most, and ends the process with
/// [`Exit::Signalled`]; a third does not wait for `clean_up`. Nothing that blocks holds up the end: the watch has a
/// thread and a runtime for itself, it acts before it logs, and what it logs and `clean_up` have further threads.
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

/// As [`watch`], but until there is something to [stop](Signals::stop_first) already the first signal ends the process.
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
        // Set before anybody can see the token cancelled.
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
    // `exit` runs what libraries have registered for it.
    let _ = thread::Builder::new().spawn(|| {
        thread::sleep(LIBRARIES);
        let _ = kill_process(getpid(), rustix::process::Signal::KILL);
        // The first process of a container is not killed so.
        process::abort();
    });
    process::exit(Exit::Signalled(signal).code().into());
}
