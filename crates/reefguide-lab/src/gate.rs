//! What every request to either server passes: the fault dials and the request log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONNECTION, HeaderName, HeaderValue};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use tokio::time::sleep;

use crate::body::{AnswerBody, AnyBody, BoxError, Harm, Harmed, RequestBody};
use crate::fault::{FaultKind, Faults};
use crate::refusal;
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
    /// `keep_alive` is how long an idle connection is said to be kept; `None` says nothing and keeps it for as long as
    /// the client does.
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
                return (Ok(refusal::own(self.side, *status, *retry_after)), None);
            }
            Some(FaultKind::Page { status }) => {
                drain(request.into_body()).await;
                return (Ok(refusal::page(*status)), None);
            }
            Some(FaultKind::Redirect { status, location }) => {
                let answer = refusal::redirect(*status, location.as_deref(), &request);
                drain(request.into_body()).await;
                return (Ok(answer), None);
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
                refusal::own(self.side, 500, None)
            }
        };
        if connection.is_cut() {
            return (Err(Cut), None);
        }
        let harm = match fault {
            Some(FaultKind::LostAnswer) => return reset(),
            Some(FaultKind::SwappedAnswer { status }) => {
                return (Ok(refusal::page(*status)), None);
            }
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
