//! What every request to either server passes: the fault dials and the request log.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::Service;
use tokio::time::{Sleep, sleep};

use crate::fault::{FaultKind, Faults};
use crate::request_log::{RequestLog, RequestRecord};
use crate::route::{Route, Side};
use crate::server::{Busy, Connection, Connections};
use crate::token::Tokens;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Stands before one of the servers.
#[derive(Debug)]
pub(crate) struct Gate {
    side: Side,
    keep_alive: Option<Duration>,
    faults: Faults,
    log: Arc<RequestLog>,
    tokens: Arc<Tokens>,
    connections: Connections,
}

/// The client's address, for those who count its requests.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client(pub(crate) std::net::IpAddr);

/// The job an answer is about, for the request log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AboutJob(pub(crate) i64);

/// The connection ends here, unanswered.
#[derive(Debug, thiserror::Error)]
#[error("a fault cut the connection")]
pub(crate) struct Cut;

impl Gate {
    /// `keep_alive` is how long an idle connection is kept; `None` keeps it for as long as the client does.
    pub(crate) fn new(
        side: Side,
        keep_alive: Option<Duration>,
        faults: Faults,
        log: Arc<RequestLog>,
        tokens: Arc<Tokens>,
        connections: Connections,
    ) -> Self {
        Self {
            side,
            keep_alive,
            faults,
            log,
            tokens,
            connections,
        }
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.connections
    }

    pub(crate) fn keep_alive(&self) -> Option<Duration> {
        self.keep_alive
    }

    /// Lets a request pass to `service`, unless a fault has other plans for it.
    pub(crate) async fn answer<S, B>(
        &self,
        mut request: Request<Incoming>,
        service: &S,
        connection: &Arc<Connection>,
    ) -> Result<Response<AnswerBody>, Cut>
    where
        S: Service<Request<Incoming>, Response = Response<B>>,
        S::Error: std::fmt::Debug,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let busy = connection.busy();
        let started = Instant::now();
        let query = request.uri().query().unwrap_or_default();
        let route = match self.side {
            Side::Api => Route::of_api(request.method(), request.uri().path()),
            Side::S3 => Some(Route::of_s3(request.method(), request.uri().path(), query)),
        };
        let fault = route.and_then(|route| self.faults.strike(route, connection.is_reused()));
        let method = request.method().to_string();
        let path = shown_path(request.uri().path(), query);
        let closes = request
            .headers()
            .get(CONNECTION)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
        request.extensions_mut().insert(Client(connection.client));

        let (answer, hold) = self
            .pass(request, service, connection, fault.as_ref())
            .await;
        if let Some(route) = route {
            self.log.record(RequestRecord {
                at: format!("{:.3}", jiff::Timestamp::now()),
                side: self.side,
                route,
                method,
                path,
                status: answer.as_ref().ok().map(|answer| answer.status().as_u16()),
                ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                job_id: answer
                    .as_ref()
                    .ok()
                    .and_then(|answer| answer.extensions().get::<AboutJob>())
                    .map(|job| job.0),
                fault: fault.as_ref().map(FaultKind::to_string),
            });
        }
        let mut answer = answer?.map(|inner| AnswerBody {
            inner,
            hold,
            _busy: busy,
        });
        if let Some(limit) = self.keep_alive.filter(|_| !closes) {
            let headers = answer.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
            if let Ok(value) = format!("timeout={}", limit.as_secs()).try_into() {
                headers.insert(HeaderName::from_static("keep-alive"), value);
            }
        }
        Ok(answer)
    }

    /// The answer under `fault`, and what its body is to wait for.
    async fn pass<S, B>(
        &self,
        request: Request<Incoming>,
        service: &S,
        connection: &Connection,
        fault: Option<&FaultKind>,
    ) -> (Result<Response<AnyBody>, Cut>, Option<Pin<Box<Sleep>>>)
    where
        S: Service<Request<Incoming>, Response = Response<B>>,
        S::Error: std::fmt::Debug,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let reset = || {
            connection.reset();
            (Err(Cut), None)
        };
        match fault {
            Some(FaultKind::Status {
                status,
                retry_after,
            }) => {
                drain(request.into_body()).await;
                return (Ok(refusal(self.side, *status, *retry_after)), None);
            }
            Some(FaultKind::Reset) => return reset(),
            Some(FaultKind::StaleKeepAlive) => return (Err(Cut), None),
            Some(FaultKind::Delay { ms }) => sleep(Duration::from_millis(*ms)).await,
            Some(FaultKind::ExpireTokens) => self.tokens.expire_all(),
            Some(FaultKind::LostAnswer | FaultKind::SlowBody { .. }) | None => {}
        }
        let answer = match service.call(request).await {
            Ok(answer) => answer.map(|body| body.map_err(Into::into).boxed_unsync()),
            Err(error) => {
                tracing::error!(?error, "a request could not be handled");
                refusal(self.side, 500, None)
            }
        };
        match fault {
            Some(FaultKind::LostAnswer) => reset(),
            Some(FaultKind::SlowBody { ms }) => (
                Ok(answer),
                Some(Box::pin(sleep(Duration::from_millis(*ms)))),
            ),
            _ => (Ok(answer), None),
        }
    }
}

type AnyBody = UnsyncBoxBody<Bytes, BoxError>;

/// An answer's body, which keeps its connection busy until it is sent.
pub(crate) struct AnswerBody {
    inner: AnyBody,
    hold: Option<Pin<Box<Sleep>>>,
    _busy: Busy,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(hold) = &mut self.hold {
            std::task::ready!(hold.as_mut().poll(cx));
            self.hold = None;
        }
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Reads a body to its end, so that its sender can hear the answer.
async fn drain(mut body: Incoming) {
    while let Some(Ok(_)) = body.frame().await {}
}

/// `path` with `query`, less the parts of a signature.
fn shown_path(path: &str, query: &str) -> String {
    let plain: Vec<_> = query
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("X-Amz-"))
        .collect();
    if plain.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", plain.join("&"))
    }
}

/// The answer of a server in trouble, in its own shape.
fn refusal(side: Side, status: u16, retry_after: Option<u64>) -> Response<AnyBody> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let reason = status.canonical_reason().unwrap_or("Error");
    let (content_type, body) = match (side, status.as_u16()) {
        (Side::S3, code) => {
            let name = match code {
                400 => "BadRequest",
                401 | 403 => "AccessDenied",
                404 => "NoSuchKey",
                429 | 503 => "SlowDown",
                _ => "InternalError",
            };
            let xml = format!(
                r#"<?xml version="1.0" encoding="UTF-8"?><Error><Code>{name}</Code><Message>{reason}</Message></Error>"#
            );
            ("application/xml", xml)
        }
        (Side::Api, 401) => ("", "Unauthorized".to_owned()),
        (Side::Api, 502..=504) => {
            let html = format!(
                "<html>\r\n<head><title>{status}</title></head>\r\n<body>{status}</body>\r\n</html>\r\n"
            );
            ("text/html", html)
        }
        (Side::Api, 429) => (JSON, r#"{"error":"Too many attempts."}"#.to_owned()),
        (Side::Api, 500) => (
            JSON,
            r#"{"status":500,"message":"An unexpected error occurred"}"#.to_owned(),
        ),
        (Side::Api, code) => (JSON, format!(r#"{{"status":{code},"message":"{reason}"}}"#)),
    };
    let mut answer = Response::new(
        Full::new(Bytes::from(body))
            .map_err(|never| match never {})
            .boxed_unsync(),
    );
    *answer.status_mut() = status;
    if !content_type.is_empty() {
        answer
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    if let Some(seconds) = retry_after {
        answer
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

const JSON: &str = "application/json; charset=utf-8";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shown_path_holds_no_signature() {
        assert_eq!(
            shown_path("/b/k", "x-id=GetObject&X-Amz-Signature=00&X-Amz-Date=1"),
            "/b/k?x-id=GetObject"
        );
        assert_eq!(shown_path("/api/", ""), "/api/");
    }
}
