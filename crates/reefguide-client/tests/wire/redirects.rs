//! Redirects, which are never followed.

use httpmock::prelude::*;
use reefguide_client::ApiError;

use crate::fixture::client;

#[tokio::test]
async fn an_account_goes_to_no_other_host() {
    let other = MockServer::start_async().await;
    let seen = other
        .mock_async(|when, then| {
            when.any_request();
            then.status(200);
        })
        .await;
    for status in [301, 302, 303, 307, 308] {
        let server = MockServer::start_async().await;
        let to = other.url("/api/auth/login?next=secret");
        let redirect = server
            .mock_async(|when, then| {
                when.path("/api/auth/login");
                then.status(status).header("location", to);
            })
            .await;
        let error = client(&server).poll(None).await.unwrap_err();
        assert!(error.is_retryable() && !error.is_denied(), "{error:?}");
        assert_eq!(
            error.to_string(),
            format!(
                "POST /auth/login: the API redirects to {}: write that",
                other.base_url()
            )
        );
        redirect.assert_async().await;
    }
    seen.assert_calls_async(0).await;
}

#[tokio::test]
async fn a_redirect_to_a_page_names_it_without_its_query() {
    let server = MockServer::start_async().await;
    server
        .mock_async(|when, then| {
            when.path("/api/");
            let to = "https://login.example/sign-in?state=secret#secret";
            then.status(302).header("location", to);
        })
        .await;
    let error = client(&server).health().await.unwrap_err();
    assert!(
        matches!(&error, ApiError::Redirected { endpoint: None, .. }),
        "{error:?}"
    );
    insta::assert_snapshot!(error, @"GET /: redirected to https://login.example/sign-in, perhaps a login portal or a maintenance page; redirects are not followed");
}
