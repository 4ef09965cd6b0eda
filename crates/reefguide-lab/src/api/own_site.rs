//! Who may ask the lab's own routes. They ask for no account, and a browser on this machine lends its reach to every
//! website that is open in it.

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

/// What the browser keeps to: nothing from elsewhere, nothing for others to read or frame.
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

/// Middleware: refuses what another website has a browser ask, and keeps answers from it.
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
    // A website whose name an attacker points at this machine sends that name.
    if !is_local(host) {
        return Some(format!(
            "{host:?} is no name of a lab: ask it at its IP address, at localhost, or at a name without dots"
        ));
    }
    let origin = text(ORIGIN)?;
    let same = ["http://", "https://"]
        .iter()
        .filter_map(|scheme| origin.strip_prefix(scheme))
        .any(|authority| authority.eq_ignore_ascii_case(host));
    (!same).then(|| format!("a page of {origin} may not ask the lab at {host}"))
}

/// Whether the public name system cannot have led here: an address, or a name that it does not give out.
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
    fn addresses_and_names_that_nobody_can_register_are_local() {
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
