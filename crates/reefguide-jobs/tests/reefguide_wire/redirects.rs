//! Redirects, which are never followed.

use httpmock::prelude::*;
use reefguide_jobs::source::reefguide::ReefGuide;
use reefguide_jobs::source::{JobSource, SourceError};

use crate::fixture::{client, login, token};
use crate::results::{claim, succeeded};

#[tokio::test]
async fn neither_a_token_nor_a_result_goes_to_another_host() {
    let other = MockServer::start_async().await;
    let seen = other
        .mock_async(|when, then| {
            when.any_request();
            then.status(200);
        })
        .await;
    for status in [301, 302, 303, 307, 308] {
        let server = MockServer::start_async().await;
        login(&server, &token("a", 600)).await;
        let to = other.base_url();
        server
            .mock_async(|when, then| {
                when.path_prefix("/api/jobs");
                then.status(status).header("location", to);
            })
            .await;
        let source = ReefGuide::builder(client(&server)).build();
        let polled = source.poll(&"TEST".into()).await.map(drop);
        let delivered = source.deliver(&claim(), &succeeded()).await;
        for error in [polled.unwrap_err(), delivered.unwrap_err()] {
            assert!(
                matches!(error, SourceError::Unavailable { .. }),
                "{status}: {error:?}"
            );
        }
    }
    seen.assert_calls_async(0).await;
}
