//! What the source makes of the API's answers, and of answers of something in between.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../../../reefguide-client/tests/wire/fixture.rs"]
mod fixture;
mod foreign;
mod lists;
mod redirects;
mod results;

use fixture::client;
use httpmock::prelude::*;
use reefguide_jobs::source::reefguide::ReefGuide;
use reefguide_jobs::source::{JobSource, SourceError};
use serde_json::json;

#[tokio::test]
async fn a_login_that_is_refused_for_any_reason_denies_access() {
    let server = MockServer::start_async().await;
    server
        .mock_async(|when, then| {
            when.path("/api/auth/login");
            then.status(400)
                .json_body(json!({ "status": 400, "message": "no" }));
        })
        .await;
    let source = ReefGuide::builder(client(&server)).build();
    let error = source.poll(&"TEST".into()).await.unwrap_err();
    assert!(matches!(error, SourceError::Denied { .. }), "{error}");
}
