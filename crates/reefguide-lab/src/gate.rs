//! What every request to either server passes: the fault dials and the request log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use tokio::time::sleep;

use crate::body::{AnswerBody, AnyBody, BoxError, Harm, Harmed, RequestBody};
use crate::fault::{FaultKind, Faults};
use crate::request_log::{RequestLog, RequestRecord};
use crate::route::{Route, Side};
use crate::server::{Connection, Connections};
use crate::token::Tokens;

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
        S: Service<Request<RequestBody>, Response = Response<B>>,
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

        let (answer, harm) = self
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
            inner: Harmed::new(inner, harm, connection),
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

    /// The answer under `fault`, and what its body is to suffer.
    async fn pass<S, B>(
        &self,
        request: Request<Incoming>,
        service: &S,
        connection: &Arc<Connection>,
        fault: Option<&FaultKind>,
    ) -> (Result<Response<AnyBody>, Cut>, Option<Harm>)
    where
        S: Service<Request<RequestBody>, Response = Response<B>>,
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
            _ => {}
        }
        let harm = match fault {
            Some(FaultKind::CutUpload { bytes }) => Some(Harm::Cut { left: *bytes }),
            Some(FaultKind::CorruptUpload { bytes }) => Some(Harm::Corrupt { left: *bytes }),
            _ => None,
        };
        let request = request.map(|body| Harmed::new(body, harm, connection));
        let answer = match service.call(request).await {
            Ok(answer) => answer.map(|body| body.map_err(Into::into).boxed_unsync()),
            Err(error) => {
                tracing::error!(?error, "a request could not be handled");
                refusal(self.side, 500, None)
            }
        };
        if connection.is_cut() {
            return (Err(Cut), None);
        }
        let harm = match fault {
            Some(FaultKind::LostAnswer) => return reset(),
            Some(FaultKind::SlowBody { ms }) => Some(Harm::late(Duration::from_millis(*ms))),
            Some(FaultKind::SlowPieces { ms }) => Some(Harm::slow(Duration::from_millis(*ms))),
            Some(FaultKind::CutBody { bytes }) => Some(Harm::Cut { left: *bytes }),
            Some(FaultKind::CorruptBody { bytes }) => Some(Harm::Corrupt { left: *bytes }),
            _ => None,
        };
        (Ok(answer), harm)
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
