//! The accept loop both servers run on: HTTP/1.1 connections that time out when idle and can be cut at will.

use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Body;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::body::RequestBody;
use crate::gate::Gate;

/// How much longer than it announces the real server keeps an idle connection.
const BEYOND_ANNOUNCED: Duration = Duration::from_secs(1);

/// A connection, as its requests see it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) client: IpAddr,
    /// Requests that have been answered on it.
    served: AtomicU64,
    /// Set: closing sends a reset.
    reset: AtomicBool,
    busy: watch::Sender<bool>,
}

impl Connection {
    /// Makes the coming close a reset.
    pub(crate) fn reset(&self) {
        self.reset.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.reset.load(Ordering::Relaxed)
    }

    pub(crate) fn is_reused(&self) -> bool {
        self.served.load(Ordering::Relaxed) > 0
    }

    /// Holds the idle timer until the guard is dropped.
    pub(crate) fn busy(self: &Arc<Self>) -> Busy {
        self.busy.send_replace(true);
        Busy(Arc::clone(self))
    }

    /// Returns when no request has been under way for `limit`. A connection that never had one does not count as idle.
    async fn idle_for(&self, limit: Duration) {
        let mut busy = self.busy.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        while busy.wait_for(|busy| !busy).await.is_ok() {
            if tokio::time::timeout(limit, busy.changed()).await.is_err() {
                return;
            }
        }
    }
}

/// How many connections a lab's servers have open.
#[derive(Debug, Clone, Default)]
pub(crate) struct Connections(Arc<AtomicUsize>);

impl Connections {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn open(&self) -> OpenConnection {
        self.0.fetch_add(1, Ordering::Relaxed);
        OpenConnection(self.clone())
    }
}

/// Counts as open until it is dropped.
struct OpenConnection(Connections);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request is under way.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Connection>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.served.fetch_add(1, Ordering::Relaxed);
        self.0.busy.send_replace(false);
    }
}

/// Serves `service` behind `gate` until `stop`, then drops every connection.
pub(crate) async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    gate: Arc<Gate>,
    stop: CancellationToken,
) where
    S: Service<Request<RequestBody>, Response = Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: std::fmt::Debug,
    B: Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, client)) => {
                    connections.spawn(connection(stream, client.ip(), service.clone(), Arc::clone(&gate)));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    // Out of sockets: some must close before the next try is worth it.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    connections.shutdown().await;
}

async fn connection<S, B>(stream: TcpStream, client: IpAddr, service: S, gate: Arc<Gate>)
where
    S: Service<Request<RequestBody>, Response = Response<B>>,
    S::Error: std::fmt::Debug,
    B: Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    // With Nagle's algorithm on, a small answer waits 40 ms for the client's delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let _open = gate.connections().open();
    let connection = Arc::new(Connection {
        client,
        served: AtomicU64::new(0),
        reset: AtomicBool::new(false),
        busy: watch::Sender::new(true),
    });
    let stream = CuttableStream {
        stream,
        connection: Arc::clone(&connection),
    };
    let answer = service_fn(|request| gate.answer(request, &service, &connection));
    let mut serving = pin!(
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), answer)
    );
    let served = match gate.keep_alive() {
        None => serving.await,
        Some(limit) => tokio::select! {
            served = serving.as_mut() => served,
            () = connection.idle_for(limit + BEYOND_ANNOUNCED) => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        },
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// A TCP stream that resets its connection when it is dropped, if it was told to.
struct CuttableStream {
    stream: TcpStream,
    connection: Arc<Connection>,
}

impl Drop for CuttableStream {
    fn drop(&mut self) {
        if self.connection.reset.load(Ordering::Relaxed)
            && let Err(error) = self.stream.set_zero_linger()
        {
            tracing::warn!(%error, "a connection is closed, not reset");
        }
    }
}

impl AsyncRead for CuttableStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for CuttableStream {
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
        // An orderly end would come before the reset.
        if self.connection.is_cut() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
