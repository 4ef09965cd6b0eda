//! A server on this machine that keeps every request it receives.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Uri};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// A request that was received.
#[derive(Clone)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A server that answers everything with 200.
pub(crate) struct Receiver {
    pub(crate) port: u16,
    received: Arc<Mutex<Vec<Received>>>,
    _server: AbortOnDropHandle<()>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let received = Arc::<Mutex<Vec<_>>>::default();
        let keep = received.clone();
        let router =
            Router::new().fallback(async move |uri: Uri, headers: HeaderMap, body: Bytes| {
                let path = uri.path().to_owned();
                keep.lock().unwrap().push(Received {
                    path,
                    headers,
                    body,
                });
            });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = async move { axum::serve(listener, router).await.unwrap() };
        Self {
            port,
            received,
            _server: AbortOnDropHandle::new(tokio::spawn(server)),
        }
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}
