//! The accept loop that both servers run on. It speaks HTTP/1.1 and closes idle connections.

use std::fmt::Debug;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Body;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::body::RequestBody;
use crate::connection::{Connection, ResettableStream};
use crate::error::BoxError;
use crate::interceptor::Interceptor;

/// The real server keeps an idle connection this much longer than it announces.
const BEYOND_ANNOUNCED: Duration = Duration::from_secs(1);

/// Serves `service` behind `interceptor` until `stop`, then drops every connection.
pub(crate) async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    interceptor: Arc<Interceptor>,
    stop: CancellationToken,
) where
    S: Service<Request<RequestBody>, Response = Response<B>, Error: Debug, Future: Send>,
    S: Clone + Send + Sync + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, client)) => {
                    let interceptor = Arc::clone(&interceptor);
                    connections.spawn(serve_connection(stream, client.ip(), service.clone(), interceptor));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    // The process may be out of sockets: wait for some to close.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    connections.shutdown().await;
}

async fn serve_connection<S, B>(
    stream: TcpStream,
    client: IpAddr,
    service: S,
    interceptor: Arc<Interceptor>,
) where
    S: Service<Request<RequestBody>, Response = Response<B>, Error: Debug>,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    // With Nagle's algorithm on, a small response waits 40 ms for the client's delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY could not be set");
    }
    let _open = interceptor.connections.open();
    let connection = Arc::new(Connection::new(client));
    let stream = ResettableStream::new(stream, &connection);
    let respond = service_fn(|request| interceptor.handle(request, &service, &connection));
    let mut serving = pin!(
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), respond)
    );
    let served = match interceptor.keep_alive {
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
