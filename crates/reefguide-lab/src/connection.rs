//! Connections: busy or idle, counted while they are open, and reset on demand.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// A connection, shared by its stream and its requests.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: IpAddr,
    /// How many requests have been served on it.
    served: AtomicU64,
    /// Whether closing it sends a reset.
    reset: AtomicBool,
    busy: watch::Sender<bool>,
}

impl Connection {
    pub(crate) fn new(client: IpAddr) -> Self {
        Self {
            client,
            served: AtomicU64::new(0),
            reset: AtomicBool::new(false),
            busy: watch::Sender::new(true),
        }
    }

    /// Makes the next close send a reset.
    pub(crate) fn reset(&self) {
        self.reset.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_reset(&self) -> bool {
        self.reset.load(Ordering::Relaxed)
    }

    pub(crate) fn is_reused(&self) -> bool {
        self.served.load(Ordering::Relaxed) > 0
    }

    /// Stops the idle timer until the guard is dropped.
    pub(crate) fn busy(self: &Arc<Self>) -> Busy {
        self.busy.send_replace(true);
        Busy(Arc::clone(self))
    }

    /// Returns once no request has been in progress for `limit`. A connection that has not had a request is not idle.
    pub(crate) async fn idle_for(&self, limit: Duration) {
        let mut busy = self.busy.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        while busy.wait_for(|busy| !busy).await.is_ok() {
            if tokio::time::timeout(limit, busy.changed()).await.is_err() {
                return;
            }
        }
    }
}

/// Counts the open connections of a lab's servers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connections(Arc<AtomicUsize>);

impl Connections {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn open(&self) -> OpenConnection {
        self.0.fetch_add(1, Ordering::Relaxed);
        OpenConnection(self.clone())
    }
}

/// Counts as open until it is dropped.
pub(crate) struct OpenConnection(Connections);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A guard: a request is in progress on the connection.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Connection>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.served.fetch_add(1, Ordering::Relaxed);
        self.0.busy.send_replace(false);
    }
}

/// A TCP stream that resets its connection when it is dropped, if [`Connection::reset`] was called.
pub(crate) struct ResettableStream {
    stream: TcpStream,
    connection: Arc<Connection>,
}

impl ResettableStream {
    pub(crate) fn new(stream: TcpStream, connection: &Arc<Connection>) -> Self {
        Self {
            stream,
            connection: Arc::clone(connection),
        }
    }
}

impl Drop for ResettableStream {
    fn drop(&mut self) {
        if self.connection.is_reset()
            && let Err(error) = self.stream.set_zero_linger()
        {
            tracing::warn!(%error, "a connection is closed, not reset");
        }
    }
}

impl AsyncRead for ResettableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for ResettableStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // An orderly close would reach the client before the reset.
        if self.connection.is_reset() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
