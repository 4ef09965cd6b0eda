//! What the client sends, exactly, and how often: what the lab cannot show.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod calls;
mod fixture;
mod foreign;
mod lists;
mod redirects;
mod session;

use std::time::Duration;

use httpmock::prelude::*;
use httpmock::{Mock, Then};
use serde_json::json;

pub(crate) fn unauthorized(then: Then) {
    then.status(401).body("Unauthorized");
}

pub(crate) async fn refresh<'a>(server: &'a MockServer, token: &str) -> Mock<'a> {
    let answer = json!({ "token": token });
    server
        .mock_async(|when, then| {
            when.method(POST)
                .path("/api/auth/token")
                .json_body(json!({ "refreshToken": "refresh-me" }));
            then.status(200).json_body(answer);
        })
        .await
}

/// A refresh token that has expired.
pub(crate) async fn refresh_refused(server: &MockServer) -> Mock<'_> {
    refresh_answered(server, 401).await
}

pub(crate) async fn refresh_answered(server: &MockServer, status: u16) -> Mock<'_> {
    server
        .mock_async(|when, then| {
            when.method(POST).path("/api/auth/token");
            let message = "Refresh token has expired";
            then.status(status)
                .json_body(json!({ "status": status, "message": message }));
        })
        .await
}

/// An empty poll, for this token only.
pub(crate) async fn poll<'a>(server: &'a MockServer, token: &str) -> Mock<'a> {
    let bearer = format!("Bearer {token}");
    server
        .mock_async(|when, then| {
            when.method(GET)
                .path("/api/jobs/poll")
                .header("authorization", bearer);
            then.status(200).json_body(json!({ "jobs": [] }));
        })
        .await
}

/// Lets time pass at once, between calls over real sockets.
pub(crate) async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}
