//! Restricts the lab's own routes to requests of the same origin. These routes need no account, and any website that is
//! open in a browser on this machine can make the browser send requests to them.

use std::net::IpAddr;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HOST, HeaderName, HeaderValue, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::uri::Authority;

use super::error::ApiError;

/// Headers that tell the browser to load nothing from other origins, and not to let other origins read or frame the page.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
];

/// Middleware: refuses requests that other websites make, and keeps the responses from them.
pub(super) async fn only(request: Request, next: Next) -> Response {
    let mut response = match refusal(request.headers()) {
        Some(reason) => ApiError::Forbidden(reason).into_response(),
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

fn refusal(headers: &HeaderMap) -> Option<String> {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let host = text(HOST).unwrap_or_default();
    // DNS rebinding: a website whose name an attacker has pointed at this machine sends that name as `Host`.
    if !is_local(host) {
        return Some(format!(
            "{host:?} is not a name of the lab: use its IP address, localhost, or a name without dots"
        ));
    }
    let origin = text(ORIGIN)?;
    let same = ["http://", "https://"]
        .iter()
        .filter_map(|scheme| origin.strip_prefix(scheme))
        .any(|authority| authority.eq_ignore_ascii_case(host));
    (!same).then(|| format!("a page of {origin} may not use the lab at {host}"))
}

/// Whether `host` is an IP address or a name that cannot be registered in the public DNS.
fn is_local(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let name = authority.host().to_ascii_lowercase();
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok()
        || !name.contains('.')
        || name.ends_with(".localhost")
        || name.ends_with(".internal")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_that_cannot_be_registered_are_local() {
        for host in [
            "127.0.0.1:5000",
            "192.168.1.7",
            "[::1]:5000",
            "localhost:5000",
            "lab:5000",
            "my.localhost",
            "host.docker.internal:5000",
        ] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "",
            "evil.example:5000",
            "127.0.0.1.evil.example",
            "lab.",
            "localhost.evil.example",
            "evilinternal.example",
            "a b",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }
}
