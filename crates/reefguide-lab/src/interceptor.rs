//! Every request to either server passes through here: faults fire on it, and the request log records it.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONNECTION, HeaderName, HeaderValue};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use tokio::time::sleep;

use crate::body::{AnyBody, BodyFault, FaultyBody, RequestBody, ResponseBody};
use crate::connection::{Connection, Connections};
use crate::error::BoxError;
use crate::fault::FaultKind;
use crate::fault_response;
use crate::faults::Faults;
use crate::request_log::{RequestLog, RequestRecord};
use crate::route::{Route, Side};
use crate::token::Tokens;

/// Sits in front of one of the servers.
#[derive(Debug)]
pub(crate) struct Interceptor {
    pub(crate) side: Side,
    /// How long the server says it keeps an idle connection. With `None` it says nothing and leaves closing to the client.
    pub(crate) keep_alive: Option<Duration>,
    pub(crate) faults: Faults,
    pub(crate) log: Arc<RequestLog>,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) connections: Connections,
}

/// The client's address, as a request extension.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientAddress(pub(crate) std::net::IpAddr);

/// The job that a response is about, as a response extension for the request log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AboutJob(pub(crate) i64);

/// The connection is closed without a response.
#[derive(Debug, thiserror::Error)]
#[error("a fault cut the connection")]
pub(crate) struct Cut;

impl Interceptor {
    /// Passes a request to `service`, subject to the fault that fires on it, and logs it.
    pub(crate) async fn handle<S, B>(
        &self,
        mut request: Request<Incoming>,
        service: &S,
        connection: &Arc<Connection>,
    ) -> Result<Response<ResponseBody>, Cut>
    where
        S: Service<Request<RequestBody>, Response = Response<B>, Error: Debug>,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let busy = connection.busy();
        let started = Instant::now();
        let query = request.uri().query().unwrap_or_default();
        let route = match self.side {
            Side::Api => Route::of_api(request.method(), request.uri().path()),
            Side::S3 => Some(Route::of_s3(request.method(), request.uri().path(), query)),
        };
        let fault = route.and_then(|route| self.faults.fire(route, connection.is_reused()));
        let method = request.method().to_string();
        let path = logged_path(request.uri().path(), query);
        let closes = request
            .headers()
            .get(CONNECTION)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"close"));
        request
            .extensions_mut()
            .insert(ClientAddress(connection.client));

        let (response, body_fault) = self
            .respond(request, service, connection, fault.as_ref())
            .await;
        if let Some(route) = route {
            let sent = response.as_ref().ok();
            self.log.record(RequestRecord {
                at: format!("{:.3}", jiff::Timestamp::now()),
                side: self.side,
                route,
                method,
                path,
                status: sent.map(|response| response.status().as_u16()),
                ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
                job_id: sent
                    .and_then(|response| response.extensions().get())
                    .map(|AboutJob(job)| *job),
                fault: fault.as_ref().map(FaultKind::to_string),
            });
        }
        let mut response =
            response?.map(|inner| FaultyBody::new(inner, body_fault, connection, Some(busy)));
        if let Some(limit) = self.keep_alive.filter(|_| !closes) {
            let headers = response.headers_mut();
            headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
            if let Ok(value) = format!("timeout={}", limit.as_secs()).try_into() {
                headers.insert(HeaderName::from_static("keep-alive"), value);
            }
        }
        Ok(response)
    }

    /// The response under `fault`, and the fault for its body.
    async fn respond<S, B>(
        &self,
        request: Request<Incoming>,
        service: &S,
        connection: &Arc<Connection>,
        fault: Option<&FaultKind>,
    ) -> (Result<Response<AnyBody>, Cut>, Option<BodyFault>)
    where
        S: Service<Request<RequestBody>, Response = Response<B>, Error: Debug>,
        B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
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
                discard(request.into_body()).await;
                return (
                    Ok(fault_response::error(self.side, *status, *retry_after)),
                    None,
                );
            }
            Some(FaultKind::Page { status }) => {
                discard(request.into_body()).await;
                return (Ok(fault_response::page(*status)), None);
            }
            Some(FaultKind::Redirect { status, location }) => {
                let response = fault_response::redirect(*status, location.as_deref(), &request);
                discard(request.into_body()).await;
                return (Ok(response), None);
            }
            Some(FaultKind::Reset) => return reset(),
            Some(FaultKind::StaleKeepAlive) => return (Err(Cut), None),
            Some(FaultKind::Delay { ms }) => sleep(Duration::from_millis(*ms)).await,
            Some(FaultKind::ExpireTokens) => self.tokens.expire_all(),
            _ => {}
        }
        let body_fault = match fault {
            Some(FaultKind::CutUpload { bytes }) => Some(BodyFault::Cut { left: *bytes }),
            Some(FaultKind::CorruptUpload { bytes }) => Some(BodyFault::Corrupt { left: *bytes }),
            _ => None,
        };
        let request = request.map(|body| FaultyBody::new(body, body_fault, connection, None));
        let response = match service.call(request).await {
            Ok(response) => response.map(|body| body.map_err(Into::into).boxed_unsync()),
            Err(error) => {
                tracing::error!(?error, "a request could not be handled");
                fault_response::error(self.side, 500, None)
            }
        };
        if connection.is_reset() {
            return (Err(Cut), None);
        }
        let body_fault = match fault {
            Some(FaultKind::LostAnswer) => return reset(),
            Some(FaultKind::SwappedAnswer { status }) => {
                return (Ok(fault_response::page(*status)), None);
            }
            Some(FaultKind::SlowBody { ms }) => Some(BodyFault::late(Duration::from_millis(*ms))),
            Some(FaultKind::SlowPieces { ms }) => Some(BodyFault::slow(Duration::from_millis(*ms))),
            Some(FaultKind::CutBody { bytes }) => Some(BodyFault::Cut { left: *bytes }),
            Some(FaultKind::CorruptBody { bytes }) => Some(BodyFault::Corrupt { left: *bytes }),
            _ => None,
        };
        (Ok(response), body_fault)
    }
}

/// Reads a body to its end: a client that is still sending may not read the response.
async fn discard(mut body: Incoming) {
    while let Some(Ok(_)) = body.frame().await {}
}

/// `path` with `query`, without the parts of a signature.
fn logged_path(path: &str, query: &str) -> String {
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
    fn a_logged_path_has_no_signature() {
        assert_eq!(
            logged_path("/b/k", "x-id=GetObject&X-Amz-Signature=00&X-Amz-Date=1"),
            "/b/k?x-id=GetObject"
        );
        assert_eq!(logged_path("/api/", ""), "/api/");
    }
}
