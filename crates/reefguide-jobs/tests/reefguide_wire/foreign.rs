//! Answers of something that stands before the API.

use std::pin::Pin;

use httpmock::prelude::*;
use httpmock::{Mock, Then};
use reefguide_jobs::job::{JobId, JobStatus};
use reefguide_jobs::source::reefguide::{ApiError, Client, JobFilter, ReefGuide};
use reefguide_jobs::source::{ClaimStatus, Claimed, JobSource, SourceError};
use serde_json::json;

use crate::{client, login, poll, refresh, token, unauthorized};

pub(crate) const PAGE: &str = "<!DOCTYPE html>\n<html><title>Maintenance</title></html>";

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
            called!(|c, id| c.timeout_jobs(std::time::Duration::from_secs(3600), &[])),
        ),
    ]
}

/// Answers that are not the API's: a status, a content type and a body.
const FOREIGN: [(u16, &str, &str); 22] = [
    (200, "text/html", PAGE),
    (200, "text/html", ""),
    (200, "application/json", PAGE),
    (200, "text/plain", "ok"),
    (200, "application/json", "{}"),
    (200, "application/json", "[]"),
    (200, "application/json", "null"),
    (200, "application/json", r#"{"status":"ok"}"#),
    (200, "application/json", r#"{"jobs":[],"job":{"#),
    (200, "application/json", r#"{"message":"API healthy."}"#),
    (201, "application/json", "{}"),
    (204, "", ""),
    (304, "", ""),
    (400, "text/html", PAGE),
    (401, "text/html", PAGE),
    (403, "text/html", PAGE),
    (403, "application/json", r#"{"message":"Forbidden"}"#),
    (404, "text/html", PAGE),
    (405, "text/html", PAGE),
    (413, "text/html", PAGE),
    (429, "text/html", PAGE),
    (503, "text/html", PAGE),
];

fn answer(then: Then, (status, content_type, body): (u16, &str, &str)) -> Then {
    let then = then.status(status).body(body);
    match content_type {
        "" => then,
        content_type => then.header("content-type", content_type),
    }
}

/// Whether an answer is taken for trouble on the way, and for nothing else.
fn is_trouble(error: &ApiError) -> bool {
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
async fn no_call_takes_the_answer_of_something_in_between_for_the_apis_own() {
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
            assert!(is_trouble(&error), "{name} {foreign:?}: {error:?}");
        }
        if !foreign.2.contains("healthy") {
            let error = client.health().await.unwrap_err();
            assert!(is_trouble(&error), "health {foreign:?}: {error:?}");
        }
        login.assert_async().await;
    }
}

#[tokio::test]
async fn a_login_that_something_in_between_answers_is_no_refusal() {
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
        assert!(is_trouble(&error), "{foreign:?}: {error:?}");
        let source = ReefGuide::builder(client(&server)).build();
        let error = source.poll(&"TEST".into()).await.unwrap_err();
        assert!(
            matches!(error, SourceError::Unavailable { .. }),
            "{foreign:?}: {error:?}"
        );
    }
}

#[tokio::test]
async fn a_page_in_place_of_a_401_makes_nobody_refresh_or_log_in() {
    let server = MockServer::start_async().await;
    let token = token("a", 600);
    let login = login(&server, &token).await;
    let refresh = refresh(&server, &token).await;
    for status in [401, 403] {
        let page = page(&server, "/api/jobs/poll", status).await;
        let error = client(&server).poll(None).await.unwrap_err();
        assert!(is_trouble(&error), "{error:?}");
        page.assert_async().await;
        page.delete_async().await;
    }
    login.assert_calls_async(2).await;
    refresh.assert_calls_async(0).await;
}

#[tokio::test]
async fn a_refresh_that_something_in_between_answers_spends_no_login() {
    let server = MockServer::start_async().await;
    let old = token("old", 600);
    let login = login(&server, &old).await;
    let poll = poll(&server, &old).await;
    for status in [200, 400, 401, 403, 404] {
        let page = page(&server, "/api/auth/token", status).await;
        let client = client(&server);
        client.poll(None).await.unwrap();
        crate::pass(std::time::Duration::from_secs(500)).await;
        // It still serves.
        client.poll(None).await.unwrap();
        page.assert_async().await;
        page.delete_async().await;
    }
    login.assert_calls_async(5).await;
    poll.assert_calls_async(10).await;
}

#[tokio::test]
async fn only_the_service_says_that_a_job_is_gone() {
    let server = MockServer::start_async().await;
    login(&server, &token("a", 600)).await;
    let source = ReefGuide::builder(client(&server)).build();
    let claim = crate::results::claim();
    for foreign in FOREIGN {
        let mock = server
            .mock_async(|when, then| {
                when.method(GET).path("/api/jobs/1");
                answer(then, foreign);
            })
            .await;
        let standing = source.claim_status(&claim).await;
        assert!(
            matches!(standing, Err(SourceError::Unavailable { .. })),
            "{foreign:?}: {standing:?}"
        );
        let recovered = source.recover(&1.into(), "dead").await;
        assert!(
            matches!(recovered, Err(SourceError::Unavailable { .. })),
            "{foreign:?}: {recovered:?}"
        );
        mock.delete_async().await;
    }
    server
        .mock_async(|when, then| {
            when.method(GET).path("/api/jobs/1");
            let body = json!({ "status": 404, "message": "Job not found" });
            then.status(404).json_body(body);
        })
        .await;
    assert_eq!(
        source.claim_status(&claim).await.unwrap(),
        ClaimStatus::Gone
    );
    assert!(source.recover(&1.into(), "dead").await.unwrap().is_none());
}

#[tokio::test]
async fn an_answer_about_another_job_says_nothing_about_this_one() {
    let server = MockServer::start_async().await;
    login(&server, &token("a", 600)).await;
    let other = json!({ "id": 8, "type": "TEST", "status": "CANCELLED", "assignments": [] });
    // Nobody can tell who has it.
    let silent = json!({ "id": 7, "type": "TEST", "status": "CANCELLED" });
    for job in [other, silent] {
        let body = json!({ "job": job });
        let mock = server
            .mock_async(|when, then| {
                when.path("/api/jobs/7");
                then.status(200).json_body(body);
            })
            .await;
        let error = client(&server).job(&7.into()).await.unwrap_err();
        assert!(is_trouble(&error), "{error:?}");
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
    assert!(is_trouble(&error), "{error:?}");
}

#[tokio::test]
async fn a_claim_that_something_in_between_refused_is_looked_up() {
    for status in [200, 400, 401, 403, 404, 409] {
        let server = MockServer::start_async().await;
        login(&server, &token("a", 600)).await;
        page(&server, "/api/jobs/assign", status).await;
        let held = json!({ "id": 5, "job_id": 1, "ecs_task_arn": "me", "storage_uri": "s3://b/k" });
        let job =
            json!({ "id": 1, "type": "TEST", "status": "IN_PROGRESS", "assignments": [held] });
        server
            .mock_async(|when, then| {
                when.path("/api/jobs/1");
                then.status(200).json_body(json!({ "job": job }));
            })
            .await;
        let source = ReefGuide::builder(client(&server)).task("me", "").build();
        let claimed = source.claim(&crate::results::claim().job).await.unwrap();
        assert!(matches!(claimed, Claimed::Won(_)), "{status}: {claimed:?}");
    }
    let server = MockServer::start_async().await;
    login(&server, &token("a", 600)).await;
    server
        .mock_async(|when, then| {
            when.path("/api/jobs/assign");
            let message = "Job is not available for assignment";
            let body = json!({ "status": 400, "message": message });
            then.status(400).json_body(body);
        })
        .await;
    let source = ReefGuide::builder(client(&server)).build();
    let claimed = source.claim(&crate::results::claim().job).await.unwrap();
    assert!(matches!(claimed, Claimed::Taken), "{claimed:?}");
}

#[tokio::test]
async fn a_wait_that_something_in_between_asks_for_is_obeyed_for_an_hour_at_most() {
    let server = MockServer::start_async().await;
    login(&server, &token("a", 600)).await;
    for (asked, obeyed) in [
        ("90", 90),
        ("2300000000", 3600),
        ("99999999999999999999", 3600),
    ] {
        let mock = server
            .mock_async(|when, then| {
                when.path("/api/jobs/poll");
                then.status(503).header("retry-after", asked).body(PAGE);
            })
            .await;
        let source = ReefGuide::builder(client(&server)).build();
        let error = source.poll(&"TEST".into()).await.unwrap_err();
        assert_eq!(error.retry_after().unwrap().as_secs(), obeyed, "{asked}");
        mock.delete_async().await;
    }
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
async fn a_claim_that_is_read_back_as_it_was_before_is_read_again() {
    let server = MockServer::start_async().await;
    login(&server, &token("a", 600)).await;
    let held = json!({ "id": 5, "job_id": 1, "ecs_task_arn": "me", "storage_uri": "s3://b/k" });
    let body = json!({ "assignment": held });
    server
        .mock_async(|when, then| {
            when.path("/api/jobs/assign");
            then.status(200).json_body(body);
        })
        .await;
    let job = |assignments: serde_json::Value| json!({ "job": { "id": 1, "type": "TEST", "status": "IN_PROGRESS", "assignments": assignments } });
    let before = job(json!([]));
    let cached = server
        .mock_async(|when, then| {
            when.path("/api/jobs/1");
            then.status(200).json_body(before);
        })
        .await;
    let source = ReefGuide::builder(client(&server)).task("me", "").build();
    let claiming = tokio::spawn(async move { source.claim(&crate::results::claim().job).await });
    while cached.calls_async().await == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    cached.delete_async().await;
    server
        .mock_async(|when, then| {
            when.path("/api/jobs/1");
            then.status(200).json_body(job(json!([held])));
        })
        .await;
    let claimed = claiming.await.unwrap().unwrap();
    assert!(matches!(claimed, Claimed::Won(_)), "{claimed:?}");
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
