//! A thread beside the async threads, which sees when they are blocked, and can say so.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::{HealthError, serve};
use crate::Chain;
use crate::observe::health::{Health, STALL_LIMIT};
use crate::observe::metrics::Metrics;

/// Between two beats of the async threads, and two looks at them.
const BEAT: Duration = Duration::from_secs(1);

/// Connections that wait to be accepted.
const BACKLOG: i32 = 128;

/// Listens on `port` on all interfaces, for IPv6 and for IPv4; only for IPv4 where there is no IPv6.
///
/// # Errors
/// If the port cannot be had.
pub fn bind(port: u16) -> Result<TcpListener, HealthError> {
    let bound = match listen((Ipv6Addr::UNSPECIFIED, port).into()) {
        // IPv6 is there, and another process has the port.
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            listen((Ipv4Addr::UNSPECIFIED, port).into())
        }
        bound => bound,
    };
    bound.map_err(|source| HealthError::Bind { port, source })
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        // The default is a setting of the system.
        socket.set_only_v6(false)?;
    }
    // Soon after a worker has ended another may start.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Watches over the async threads, and serves health, readiness and metrics, until it is dropped.
///
/// Both happen on a separate thread, so that a worker whose async threads are blocked still reports that: it
/// is unhealthy, with the reason, and the log has a warning. That thread does not log itself, as logging may block.
#[derive(Debug)]
pub struct Monitor {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
    _beating: AbortOnDropHandle<()>,
}

impl Monitor {
    /// Watches over the threads of this runtime, and serves on `listener` if there is one.
    ///
    /// # Errors
    /// If the thread cannot be started, or `listener` not be used.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start(
        listener: Option<TcpListener>,
        health: Health,
        metrics: Metrics,
    ) -> Result<Self, HealthError> {
        let beats = Arc::new(AtomicU64::new(0));
        let beating = tokio::spawn(beat(beats.clone()));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(HealthError::Start)?;
        let listener = listener.map(|listener| {
            let _inside = runtime.enter();
            listener.set_nonblocking(true)?;
            tokio::net::TcpListener::from_std(listener)
        });
        let listener = listener.transpose().map_err(HealthError::Start)?;
        let work = async move {
            let watching = watch(&beats, &health, &metrics);
            let Some(listener) = listener else {
                return stopped.run_until_cancelled(watching).await.unwrap_or(());
            };
            let serving = serve(listener, health.clone(), metrics.clone(), stopped.clone());
            let serving = async {
                if let Err(error) = serving.await {
                    let error = Chain(&error).to_string();
                    spawn_blocking(move || tracing::error!(error, "health is no longer served"));
                    stopped.cancelled().await;
                }
            };
            tokio::select! {
                () = serving => {}
                () = watching => {}
            }
        };
        let thread = thread::Builder::new().name("health".into());
        let thread = thread.spawn(move || {
            runtime.block_on(work);
            // What it logs is not waited for.
            runtime.shutdown_background();
        });
        Ok(Self {
            stop,
            thread: Some(thread.map_err(HealthError::Start)?),
            _beating: AbortOnDropHandle::new(beating),
        })
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // Nothing could be done about its panic here.
            let _ = thread.join();
        }
    }
}

/// Shows that the async threads run.
async fn beat(beats: Arc<AtomicU64>) {
    let mut ticks = interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        beats.fetch_add(1, Ordering::Relaxed);
    }
}

/// Looks whether the async threads run. It counts looks and not time, so that a process that is stopped
/// for a while, or a machine that sleeps, is not taken for blocked threads.
async fn watch(beats: &AtomicU64, health: &Health, metrics: &Metrics) {
    let limit = u32::try_from(STALL_LIMIT.as_secs()).unwrap_or(u32::MAX);
    let mut ticks = interval(BEAT);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut seen, mut looks) = (0, 0);
    loop {
        ticks.tick().await;
        let now = beats.load(Ordering::Relaxed);
        if now == seen {
            looks += 1;
            if looks == limit {
                health.stalled(Some(STALL_LIMIT));
                metrics.stalled();
                spawn_blocking(move || {
                    tracing::warn!(
                        seconds = looks,
                        "nothing runs on the async threads: a handler computes or blocks on them; \
                         use ctx.blocking, or a BlockingJobHandler"
                    );
                });
            }
            continue;
        }
        if looks >= limit {
            health.stalled(None);
            spawn_blocking(move || tracing::warn!(seconds = looks, "the async threads run again"));
        }
        (seen, looks) = (now, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn threads_without_a_beat_count_as_blocked_until_the_next_one() {
        let (health, metrics, beats) = (Health::new(1), Metrics::new(), AtomicU64::new(1));
        let stalled = || {
            let report = health.report();
            report
                .unhealthy_reason
                .is_some_and(|reason| reason.to_string().contains("async threads"))
        };
        let moments = async {
            // The first look sees the first beat.
            tokio::time::sleep(STALL_LIMIT - BEAT / 2).await;
            assert!(!stalled());
            tokio::time::sleep(BEAT).await;
            assert!(stalled());
            beats.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(BEAT).await;
            assert!(!stalled());
        };
        tokio::select! {
            () = moments => {}
            () = watch(&beats, &health, &metrics) => {}
        }
        let text = metrics.text(&health.report());
        assert!(text.contains("\nworker_async_stalls_total 1\n"), "{text}");
    }
}
