//! Logins and tokens.

use std::time::Duration;

use httpmock::prelude::*;
use reefguide_client::{ApiError, Client};
use serde_json::json;

use crate::fixture::{EMAIL, client, login, token};
use crate::{pass, poll, refresh, refresh_answered, refresh_refused, unauthorized};

#[tokio::test]
async fn it_logs_in_once_and_sends_the_token_with_every_call() {
    let server = MockServer::start_async().await;
    let token = token("a", 600);
    let login = server
        .mock_async(|when, then| {
            when.method(POST)
                .path("/api/auth/login")
                .header("content-type", "application/json")
                .header(
                    "user-agent",
                    concat!("reefguide-client/", env!("CARGO_PKG_VERSION")),
                )
                .json_body(json!({ "email": EMAIL, "password": "password" }));
            then.status(200)
                .json_body(json!({ "token": token, "refreshToken": "refresh-me" }));
        })
        .await;
    let poll = server
        .mock_async(|when, then| {
            when.method(GET)
                .path("/api/jobs/poll")
                .query_param("jobType", "TEST")
                .header("authorization", format!("Bearer {token}"));
            then.status(200).json_body(json!({ "jobs": [] }));
        })
        .await;
    let client = client(&server);
    for _ in 0..3 {
        assert!(client.poll(Some(&"TEST".into())).await.unwrap().is_empty());
    }
    login.assert_async().await;
    poll.assert_calls_async(3).await;
}

#[tokio::test]
async fn it_refreshes_before_the_token_ends_without_logging_in_again() {
    let server = MockServer::start_async().await;
    let (old, new) = (token("old", 600), token("new", 600));
    let login = login(&server, &old).await;
    let refresh = refresh(&server, &new).await;
    let (old_poll, new_poll) = (poll(&server, &old).await, poll(&server, &new).await);
    let client = client(&server);
    client.poll(None).await.unwrap();
    pass(Duration::from_secs(479)).await;
    client.poll(None).await.unwrap();
    refresh.assert_calls_async(0).await;
    pass(Duration::from_secs(2)).await;
    client.poll(None).await.unwrap();
    refresh.assert_async().await;
    login.assert_async().await;
    old_poll.assert_calls_async(2).await;
    new_poll.assert_calls_async(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn any_number_of_tasks_share_one_login() {
    let server = MockServer::start_async().await;
    let token = token("a", 600);
    let answer = json!({ "token": token, "refreshToken": "refresh-me" });
    let login = server
        .mock_async(|when, then| {
            when.method(POST).path("/api/auth/login");
            then.status(200)
                .json_body(answer)
                .delay(Duration::from_millis(50));
        })
        .await;
    poll(&server, &token).await;
    let client = client(&server);
    let calls = (0..20).map(|_| {
        let client = client.clone();
        tokio::spawn(async move { client.poll(None).await.map(drop) })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap().unwrap();
    }
    login.assert_async().await;
}

#[tokio::test]
async fn any_number_of_tasks_share_one_refresh_of_an_expired_token() {
    let server = MockServer::start_async().await;
    let (old, new) = (token("old", 600), token("new", 600));
    let login = login(&server, &old).await;
    let answer = json!({ "token": new });
    let refresh = server
        .mock_async(|when, then| {
            when.method(POST).path("/api/auth/token");
            then.status(200)
                .json_body(answer)
                .delay(Duration::from_millis(50));
        })
        .await;
    poll(&server, &old).await;
    let new_poll = poll(&server, &new).await;
    let client = client(&server);
    client.poll(None).await.unwrap();
    pass(Duration::from_secs(700)).await;
    let calls = (0..20).map(|_| client.poll(None));
    for polled in futures_util::future::join_all(calls).await {
        polled.unwrap();
    }
    refresh.assert_async().await;
    login.assert_async().await;
    new_poll.assert_calls_async(20).await;
}

#[tokio::test]
async fn a_refused_token_is_replaced_and_the_call_repeated_once() {
    let server = MockServer::start_async().await;
    let (old, new) = (token("old", 600), token("new", 600));
    login(&server, &old).await;
    let refresh = refresh(&server, &new).await;
    let refused = server
        .mock_async(|when, then| {
            when.path("/api/jobs/poll")
                .header("authorization", format!("Bearer {old}"));
            unauthorized(then);
        })
        .await;
    let accepted = poll(&server, &new).await;
    client(&server).poll(None).await.unwrap();
    refused.assert_async().await;
    refresh.assert_async().await;
    accepted.assert_async().await;
}

#[tokio::test]
async fn a_fresh_token_that_is_refused_too_ends_it() {
    let server = MockServer::start_async().await;
    login(&server, &token("old", 600)).await;
    refresh(&server, &token("new", 600)).await;
    let poll = server
        .mock_async(|when, then| {
            when.path("/api/jobs/poll");
            unauthorized(then);
        })
        .await;
    let error = client(&server).poll(None).await.unwrap_err();
    assert!(matches!(error, ApiError::TokenRejected { .. }), "{error}");
    assert!(error.is_denied() && !error.is_retryable());
    poll.assert_calls_async(2).await;
}

#[tokio::test]
async fn a_missing_role_is_not_tried_again() {
    let server = MockServer::start_async().await;
    let login = login(&server, &token("a", 600)).await;
    let poll = server
        .mock_async(|when, then| {
            when.path("/api/jobs/poll");
            let message = "You are not authorised to access this service.";
            then.status(401)
                .json_body(json!({ "status": 401, "message": message }));
        })
        .await;
    let error = client(&server).poll(None).await.unwrap_err();
    insta::assert_snapshot!(error, @"GET /jobs/poll as `worker@email.com`: You are not authorised to access this service.");
    assert!(error.is_denied());
    poll.assert_async().await;
    login.assert_async().await;
}

#[tokio::test]
async fn an_expired_refresh_token_leads_to_a_login() {
    let server = MockServer::start_async().await;
    let old = token("old", 600);
    let login = login(&server, &old).await;
    let refused = refresh_refused(&server).await;
    poll(&server, &old).await;
    let client = client(&server);
    client.poll(None).await.unwrap();
    pass(Duration::from_secs(700)).await;
    client.poll(None).await.unwrap();
    refused.assert_async().await;
    login.assert_calls_async(2).await;
}

#[tokio::test]
async fn a_refresh_that_is_refused_for_another_reason_leads_to_a_login_too() {
    let server = MockServer::start_async().await;
    let old = token("old", 600);
    let login = login(&server, &old).await;
    refresh_answered(&server, 400).await;
    poll(&server, &old).await;
    let client = client(&server);
    client.poll(None).await.unwrap();
    pass(Duration::from_secs(700)).await;
    client.poll(None).await.unwrap();
    login.assert_calls_async(2).await;
}

#[tokio::test]
async fn a_limited_login_is_not_sent_again_before_its_time() {
    let server = MockServer::start_async().await;
    let limited = server
        .mock_async(|when, then| {
            when.path("/api/auth/login");
            then.status(429)
                .header("retry-after", "900")
                .json_body(json!({ "error": "Too many attempts." }));
        })
        .await;
    let client = client(&server);
    for _ in 0..3 {
        let error = client.poll(None).await.unwrap_err();
        assert!(error.is_retryable());
        assert_eq!(error.retry_after(), Some(Duration::from_secs(900)));
    }
    limited.assert_async().await;
    limited.delete_async().await;
    let token = token("a", 600);
    let login = login(&server, &token).await;
    poll(&server, &token).await;
    pass(Duration::from_secs(901)).await;
    client.poll(None).await.unwrap();
    login.assert_async().await;
}

#[tokio::test]
async fn tasks_that_wait_for_a_login_fail_with_it_instead_of_logging_in_themselves() {
    let server = MockServer::start_async().await;
    let refused = server
        .mock_async(|when, then| {
            when.path("/api/auth/login");
            then.status(401)
                .json_body(json!({ "status": 401, "message": "Invalid credentials" }))
                .delay(Duration::from_millis(50));
        })
        .await;
    let client = client(&server);
    let calls = (0..20).map(|_| client.poll(None));
    for polled in futures_util::future::join_all(calls).await {
        let error = polled.unwrap_err();
        assert!(error.is_denied(), "{error}");
    }
    refused.assert_async().await;
}

#[tokio::test]
async fn a_session_is_resumed_without_a_login_until_its_refresh_token_expires() {
    let server = MockServer::start_async().await;
    let token = token("a", 600);
    let login = login(&server, &token).await;
    let kept = client(&server).log_in().await.unwrap();
    login.assert_async().await;

    let refresh = refresh(&server, &token).await;
    poll(&server, &token).await;
    let resume = || {
        Client::resume(server.base_url(), EMAIL, kept.clone())
            .build()
            .unwrap()
    };
    resume().poll(None).await.unwrap();
    refresh.assert_async().await;

    refresh.delete_async().await;
    refresh_refused(&server).await;
    let error = resume().poll(None).await.unwrap_err();
    insta::assert_snapshot!(error, @"POST /auth/token as `worker@email.com`: the session has ended, log in again");
    login.assert_async().await;
}

#[tokio::test]
async fn a_token_that_is_due_is_used_until_it_expires_while_it_cannot_be_refreshed() {
    let server = MockServer::start_async().await;
    let old = token("old", 600);
    let login = login(&server, &old).await;
    refresh_answered(&server, 503).await;
    let poll = poll(&server, &old).await;
    let client = client(&server);
    client.poll(None).await.unwrap();
    pass(Duration::from_secs(500)).await;
    client.poll(None).await.unwrap();
    // An API that fails is not asked for a login either, since it allows only five in 15 minutes.
    login.assert_calls_async(1).await;
    poll.assert_calls_async(2).await;
}
