//! An S3 server whose answers a test chooses.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use reefguide_storage::{S3Credentials, S3Options, Storage, StorageUri};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// A request that has arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) head: Arc<axum::http::request::Parts>,
    pub(crate) body: Bytes,
}

impl Asked {
    /// Method, path, and the query without the SDK's additions, such as `PUT /reef/a?partNumber=1`.
    pub(crate) fn line(&self) -> String {
        let uri = &self.head.uri;
        let query: Vec<_> = uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty() && !pair.starts_with("x-id="))
            .collect();
        let mark = if query.is_empty() { "" } else { "?" };
        format!(
            "{} {}{mark}{}",
            self.head.method,
            uri.path(),
            query.join("&")
        )
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get(name)?.to_str().ok()
    }
}

/// The server, and a storage that uses it.
pub(crate) struct Server {
    pub(crate) storage: Storage,
    /// Every request, as it arrives.
    pub(crate) asked: mpsc::UnboundedReceiver<Asked>,
    pub(crate) endpoint: String,
    accepting: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    pub(crate) async fn answering<F>(
        answer: impl Fn(Asked) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Response> + Send,
    {
        let (sender, asked) = mpsc::unbounded_channel();
        let app = Router::new().fallback(move |request: Request| {
            let (sender, answer) = (sender.clone(), answer.clone());
            async move {
                let (head, body) = request.into_parts();
                let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
                let asked = Asked {
                    head: Arc::new(head),
                    body,
                };
                let _ = sender.send(asked.clone());
                answer(asked).await
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let accepting = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            storage: Storage::s3(options(&endpoint)),
            asked,
            endpoint,
            accepting,
        }
    }

    /// The server with a storage that has other options.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut S3Options)) -> Self {
        let mut options = options(&self.endpoint);
        change(&mut options);
        self.storage = Storage::s3(options);
        self
    }

    /// The next request whose line begins like this, with a time limit.
    pub(crate) async fn next(&mut self, begin: &str) -> Asked {
        let found = async {
            loop {
                let asked = self.asked.recv().await.unwrap();
                if asked.line().starts_with(begin) {
                    return asked;
                }
            }
        };
        let found = timeout(Duration::from_secs(60), found).await;
        found.unwrap_or_else(|_| panic!("no request begins with {begin}"))
    }

    /// The lines of all requests so far.
    pub(crate) fn lines(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.asked.try_recv().ok())
            .map(|asked| asked.line())
            .collect()
    }
}

/// The options for a server at `endpoint`.
pub(crate) fn options(endpoint: &str) -> S3Options {
    let mut options = S3Options::default();
    options.endpoint = Some(endpoint.to_owned());
    options.credentials = Some(S3Credentials {
        access_key: "access".into(),
        secret_key: "very-secret".into(),
        session_token: Some("token-secret".into()),
    });
    options
}

pub(crate) fn uri(uri: &str) -> StorageUri {
    uri.parse().unwrap()
}

/// An answer with an object's ETag.
pub(crate) fn ok(body: impl Into<Body>) -> Response {
    Response::builder()
        .header("etag", "\"0cc175b9\"")
        .body(body.into())
        .unwrap()
}

pub(crate) fn stored() -> Response {
    ok(Body::empty())
}

/// An error in S3's format.
pub(crate) fn error(status: u16, code: &str) -> Response {
    Response::builder()
        .status(status)
        .header("x-amz-request-id", "4442587FB7D0A2F9")
        .body(Body::from(format!(
            "<Error><Code>{code}</Code><Message>said the server</Message></Error>"
        )))
        .unwrap()
}

/// An answer to a listing.
pub(crate) fn listing(objects: &[(&str, usize)]) -> Response {
    let objects: Vec<_> = objects
        .iter()
        .map(|(key, size)| (*key, *size, ""))
        .collect();
    listing_with_etags(&objects)
}

pub(crate) fn listing_with_etags(objects: &[(&str, usize, &str)]) -> Response {
    let objects: String = objects
        .iter()
        .map(|(key, size, etag)| {
            let etag = match *etag {
                "" => String::new(),
                etag => format!("<ETag>{etag}</ETag>"),
            };
            format!("<Contents><Key>{key}</Key>{etag}<Size>{size}</Size></Contents>")
        })
        .collect();
    ok(format!(
        "<ListBucketResult><IsTruncated>false</IsTruncated>{objects}</ListBucketResult>"
    ))
}
