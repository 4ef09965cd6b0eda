//! Answers of something between the client and the API.

use std::pin::Pin;
use std::time::Duration;

use httpmock::Mock;
use httpmock::prelude::*;
use reefguide_client::job::{JobId, JobStatus};
use reefguide_client::{ApiError, Client, JobFilter};
use serde_json::json;

use crate::fixture::{FOREIGN, PAGE, answer, client, login, token};
use crate::{pass, poll, refresh, unauthorized};

type Called = Pin<Box<dyn Future<Output = Result<(), ApiError>>>>;

/// Every call that needs an account, by name.
fn calls(client: &Client) -> Vec<(&'static str, Called)> {
    let id = JobId::from(7);
    macro_rules! called {
        (|$client:ident, $id:ident| $call:expr) => {{
            let ($client, $id) = (client.clone(), id.clone());
            Box::pin(async move {
                let _ = &$id;
                $call.await.map(drop)
            }) as Called
        }};
    }
    vec![
        ("profile", called!(|c, id| c.profile())),
        ("poll", called!(|c, id| c.poll(Some(&"TEST".into())))),
        ("assign", called!(|c, id| c.assign(&id, "task", "cluster"))),
        (
            "result",
            called!(|c, id| c.post_result(&7.into(), &JobStatus::Failed, None)),
        ),
        ("job", called!(|c, id| c.job(&id))),
        ("jobs", called!(|c, id| c.jobs(&JobFilter::default()))),
        ("mine", called!(|c, id| c.my_jobs(None))),
        ("cancel", called!(|c, id| c.cancel(&id))),
        ("download", called!(|c, id| c.download(&id, None, None))),
        (
            "create",
            called!(|c, id| c.create_job(&"TEST".into(), &json!({}))),
        ),
        (
            "specification",
            called!(|c, id| c.update_data_specification(&json!({}))),
        ),
        (
            "timeout",
            called!(|c, id| c.timeout_jobs(Duration::from_secs(3600), &[])),
        ),
    ]
}

/// Whether an answer counts as a transport problem, and as nothing else.
fn is_transport_problem(error: &ApiError) -> bool {
    error.is_retryable() && !error.is_denied() && !error.is_gone() && !error.is_rate_limited()
}

async fn page<'a>(server: &'a MockServer, path: &'static str, status: u16) -> Mock<'a> {
    server
        .mock_async(|when, then| {
            when.path(path);
            answer(then, (status, "text/html", PAGE));
        })
        .await
}

#[tokio::test]
async fn no_call_mistakes_the_answer_of_something_in_between_for_the_apis() {
    for foreign in FOREIGN {
        let server = MockServer::start_async().await;
        let login = login(&server, &token("a", 600)).await;
        server
            .mock_async(|when, then| {
                when.path_matches(r"^/api/(jobs|admin|auth/profile|$)");
                answer(then, foreign);
            })
            .await;
        let client = client(&server);
        for (name, called) in calls(&client) {
            let error = called.await.unwrap_err();
            assert!(
                is_transport_problem(&error),
                "{name} {foreign:?}: {error:?}"
            );
        }
        if !foreign.2.contains("healthy") {
            let error = client.health().await.unwrap_err();
            assert!(
                is_transport_problem(&error),
                "health {foreign:?}: {error:?}"
            );
        }
        login.assert_async().await;
    }
}

#[tokio::test]
async fn a_login_that_something_in_between_answers_is_not_refused() {
    let tokens = [
        r#"{"token":"","refreshToken":"b"}"#,
        r#"{"token":"a b\n","refreshToken":"c"}"#,
        r#"{"token":7,"refreshToken":"c"}"#,
        r#"{"token":"a"}"#,
    ];
    let tokens = tokens.map(|tokens| (200, "application/json", tokens));
    for foreign in FOREIGN.into_iter().chain(tokens) {
        let server = MockServer::start_async().await;
        server
            .mock_async(|when, then| {
                when.path("/api/auth/login");
                answer(then, foreign);
            })
            .await;
        let error = client(&server).log_in().await.unwrap_err();
        assert!(is_transport_problem(&error), "{foreign:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_page_in_place_of_a_401_leads_to_no_refresh_or_login() {
    let server = MockServer::start_async().await;
    let token = token("a", 600);
    let login = login(&server, &token).await;
    let refresh = refresh(&server, &token).await;
    for status in [401, 403] {
        let page = page(&server, "/api/jobs/poll", status).await;
        let error = client(&server).poll(None).await.unwrap_err();
        assert!(is_transport_problem(&error), "{error:?}");
        page.assert_async().await;
        page.delete_async().await;
    }
    login.assert_calls_async(2).await;
    refresh.assert_calls_async(0).await;
}

#[tokio::test]
async fn a_refresh_that_something_in_between_answers_costs_no_login() {
    let server = MockServer::start_async().await;
    let old = token("old", 600);
    let login = login(&server, &old).await;
    let poll = poll(&server, &old).await;
    for status in [200, 400, 401, 403, 404] {
        let page = page(&server, "/api/auth/token", status).await;
        let client = client(&server);
        client.poll(None).await.unwrap();
        pass(Duration::from_secs(500)).await;
        // The old token is still valid.
        client.poll(None).await.unwrap();
        page.assert_async().await;
        page.delete_async().await;
    }
    login.assert_calls_async(5).await;
    poll.assert_calls_async(10).await;
}

#[tokio::test]
async fn an_answer_about_another_job_says_nothing_about_this_one() {
    let server = MockServer::start_async().await;
    login(&server, &token("a", 600)).await;
    let other = json!({ "id": 8, "type": "TEST", "status": "CANCELLED", "assignments": [] });
    // Without assignments it is unknown which worker has it.
    let without_assignments = json!({ "id": 7, "type": "TEST", "status": "CANCELLED" });
    for job in [other, without_assignments] {
        let body = json!({ "job": job });
        let mock = server
            .mock_async(|when, then| {
                when.path("/api/jobs/7");
                then.status(200).json_body(body);
            })
            .await;
        let error = client(&server).job(&7.into()).await.unwrap_err();
        assert!(is_transport_problem(&error), "{error:?}");
        mock.delete_async().await;
    }
    let record = json!({ "id": 1, "job_id": 8, "storage_uri": "s3://b/k" });
    server
        .mock_async(|when, then| {
            when.path("/api/jobs/assign");
            then.status(200).json_body(json!({ "assignment": record }));
        })
        .await;
    let error = client(&server)
        .assign(&7.into(), "t", "c")
        .await
        .unwrap_err();
    assert!(is_transport_problem(&error), "{error:?}");
}

#[tokio::test]
async fn the_apis_own_401_is_still_about_the_token() {
    let server = MockServer::start_async().await;
    login(&server, &token("old", 600)).await;
    refresh(&server, &token("new", 600)).await;
    server
        .mock_async(|when, then| {
            when.path("/api/jobs/poll");
            unauthorized(then);
        })
        .await;
    let error = client(&server).poll(None).await.unwrap_err();
    assert!(matches!(error, ApiError::TokenRejected { .. }), "{error}");
}

#[tokio::test]
async fn a_page_without_end_is_not_read_to_its_end() {
    let server = MockServer::start_async().await;
    server
        .mock_async(|when, then| {
            when.path("/api/");
            then.status(200).body(" ".repeat((64 << 20) + 1));
        })
        .await;
    let error = client(&server).health().await.unwrap_err();
    insta::assert_snapshot!(error, @"GET /: 200 with more than 67108864 bytes; that is not the API's own answer");
}
