//! Answers as the real server's framework writes them: JSON with a weak ETag, and 304 to a client that has it already.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH};
use http::{HeaderValue, Method, StatusCode};
use serde::Serialize;

/// `body` as JSON.
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
            tracing::error!(%error, "an answer could not be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The length in hexadecimal and the SHA-1 of a body.
fn weak_etag(body: &[u8]) -> String {
    let sha1 = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY, body);
    format!(
        r#"W/"{:x}-{}""#,
        body.len(),
        BASE64_STANDARD_NO_PAD.encode(sha1)
    )
}

/// Middleware: answers 304 to a GET whose `If-None-Match` names the answer's ETag.
pub(crate) async fn not_modified(request: Request, next: Next) -> Response {
    let asks = matches!(*request.method(), Method::GET | Method::HEAD);
    let conditions = asks.then(|| request.headers().clone());
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

fn is_fresh(asked: &HeaderMap, answered: &HeaderMap) -> bool {
    let text = |headers: &HeaderMap, name| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    };
    let (Some(wanted), Some(tag)) = (text(asked, IF_NONE_MATCH), text(answered, ETAG)) else {
        return false;
    };
    let anew = text(asked, CACHE_CONTROL).is_some_and(|control| control.contains("no-cache"));
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    !anew
        && (wanted.trim() == "*"
            || wanted
                .split(',')
                .any(|wanted| opaque(wanted) == opaque(&tag)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_the_frameworks() {
        assert_eq!(
            weak_etag(br#"{"message":"API healthy."}"#),
            r#"W/"1a-fPv0F0/67Gg6+shaURy1Y4XxxI0""#
        );
    }
}
