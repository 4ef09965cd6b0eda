//! The responses of a failing server, and of a proxy in front of it.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue, LOCATION, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};

use crate::body::AnyBody;
use crate::route::Side;

/// An error response in the shape of the server on `side`, or a proxy's page where that server never sends `status`.
pub(crate) fn error(side: Side, status: u16, retry_after: Option<u64>) -> Response<AnyBody> {
    let status = status_code(status);
    let reason = status.canonical_reason().unwrap_or("Error");
    let mut response = match (side, status.as_u16()) {
        (_, ..=399) | (Side::Api, 502..=504) => page(status.as_u16()),
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
            respond(status, Some("application/xml"), xml)
        }
        (Side::Api, 401) => respond(status, None, "Unauthorized".to_owned()),
        (Side::Api, code) => {
            let json = match code {
                429 => r#"{"error":"Too many attempts."}"#.to_owned(),
                500 => r#"{"status":500,"message":"An unexpected error occurred"}"#.to_owned(),
                _ => format!(r#"{{"status":{code},"message":"{reason}"}}"#),
            };
            respond(status, Some("application/json; charset=utf-8"), json)
        }
    };
    if let Some(seconds) = retry_after {
        let headers = response.headers_mut();
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// A proxy's HTML page.
pub(crate) fn page(status: u16) -> Response<AnyBody> {
    let status = status_code(status);
    let html = format!(
        "<html>\r\n<head><title>{status}</title></head>\r\n<body>{status}</body>\r\n</html>\r\n"
    );
    respond(status, Some("text/html"), html)
}

/// A proxy's page that redirects to `location`, or to the address of `request` with `https`.
pub(crate) fn redirect<B>(
    status: u16,
    location: Option<&str>,
    request: &Request<B>,
) -> Response<AnyBody> {
    let location = location.map_or_else(|| with_https(request), str::to_owned);
    let mut response = page(status);
    match HeaderValue::try_from(location) {
        Ok(location) => {
            response.headers_mut().insert(LOCATION, location);
        }
        Err(error) => tracing::warn!(%error, "a redirect is sent without its location"),
    }
    response
}

fn with_https<B>(request: &Request<B>) -> String {
    let host = request.headers().get(HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let path = request.uri().path_and_query();
    let path = path.map_or("/", |path| path.as_str());
    format!("https://{host}{path}")
}

fn status_code(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn respond(
    status: StatusCode,
    content_type: Option<&'static str>,
    body: String,
) -> Response<AnyBody> {
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = status;
    let content_type = content_type.map(HeaderValue::from_static);
    let headers = response.headers_mut();
    headers.extend(content_type.map(|value| (CONTENT_TYPE, value)));
    response
}
