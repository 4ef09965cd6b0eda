//! Responses as the real server's framework writes them: JSON with a weak ETag, and 304 if the client already has it.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH};
use http::{HeaderValue, Method, StatusCode};
use serde::Serialize;

use crate::interceptor::AboutJob;

/// A response with `body` as JSON.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => {
            let tag = HeaderValue::from_str(&weak_etag(&body)).ok();
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = status;
            let headers = response.headers_mut();
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("application/json; charset=utf-8"),
            );
            headers.extend(tag.map(|tag| (ETAG, tag)));
            response
        }
        Err(error) => {
            tracing::error!(%error, "a response could not be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Names the job that a response is about, for the request log.
pub(crate) fn about(job: i64, mut response: Response) -> Response {
    response.extensions_mut().insert(AboutJob(job));
    response
}

/// The tag has the body's length in hexadecimal and its SHA-1.
fn weak_etag(body: &[u8]) -> String {
    let sha1 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, body);
    format!(
        r#"W/"{:x}-{}""#,
        body.len(),
        BASE64_STANDARD_NO_PAD.encode(sha1)
    )
}

/// Middleware: responds with 304 to a GET whose `If-None-Match` has the response's ETag.
pub(crate) async fn not_modified(request: Request, next: Next) -> Response {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let conditions = is_read.then(|| request.headers().clone());
    let mut response = next.run(request).await;
    let fresh = conditions.is_some_and(|conditions| {
        response.status().is_success() && is_fresh(&conditions, response.headers())
    });
    if fresh {
        let (status, tag) = (
            StatusCode::NOT_MODIFIED,
            response.headers_mut().remove(ETAG),
        );
        response = status.into_response();
        response.headers_mut().extend(tag.map(|tag| (ETAG, tag)));
    }
    response
}

fn is_fresh(request: &HeaderMap, response: &HeaderMap) -> bool {
    let text = |headers: &HeaderMap, name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let (Some(wanted), Some(tag)) = (text(request, IF_NONE_MATCH), text(response, ETAG)) else {
        return false;
    };
    let reload = text(request, CACHE_CONTROL).is_some_and(|control| control.contains("no-cache"));
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    !reload
        && (wanted.trim() == "*"
            || wanted
                .split(',')
                .any(|wanted| opaque(wanted) == opaque(&tag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_the_one_that_the_framework_computes() {
        assert_eq!(
            weak_etag(br#"{"message":"API healthy."}"#),
            r#"W/"1a-fPv0F0/67Gg6+shaURy1Y4XxxI0""#
        );
    }
}
