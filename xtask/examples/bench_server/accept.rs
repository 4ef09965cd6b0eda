//! Accepts connections, plain or encrypted.

use std::io;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::sink::Sink;

/// Serves until a connection cannot be accepted.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    sink: Sink,
) -> io::Error {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => return error,
        };
        // Without it, an answer's last bytes wait for the client's acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            return error;
        }
        let sink = sink.clone();
        match tls.clone() {
            None => drop(tokio::spawn(connection(stream, sink))),
            Some(tls) => drop(tokio::spawn(async move {
                // A client that does not trust the certificate reports that itself.
                if let Ok(stream) = tls.accept(stream).await {
                    connection(stream, sink).await;
                }
            })),
        }
    }
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, sink: Sink) {
    let service = service_fn(move |request| {
        let sink = sink.clone();
        async move { sink.answer(request).await }
    });
    // A client may disconnect at any time.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}
