//! What the ReefGuide client sends, exactly, and how often: what the lab cannot show.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod foreign;
mod lists;
mod redirects;
mod results;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use httpmock::prelude::*;
use httpmock::{Mock, Then};
use reefguide_jobs::job::{AssignmentId, JobId, JobStatus, JobType};
use reefguide_jobs::source::reefguide::{ApiError, Client, JobFilter, ReefGuide};
use reefguide_jobs::source::{JobSource, SourceError};
use serde_json::{Value, json};

const EMAIL: &str = "worker@email.com";

fn client(server: &MockServer) -> Client {
    Client::builder(server.base_url(), EMAIL, "password")
        .build()
        .unwrap()
}

/// A token that lasts `life` seconds, told from others by its `name`.
fn token(name: &str, life: u64) -> String {
    let claims = json!({ "iat": 1_000, "exp": 1_000 + life, "name": name }).to_string();
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}

fn unauthorized(then: Then) {
    then.status(401).body("Unauthorized");
}

async fn login<'a>(server: &'a MockServer, token: &str) -> Mock<'a> {
    let answer = json!({ "token": token, "refreshToken": "refresh-me" });
    server
        .mock_async(|when, then| {
            when.method(POST).path("/api/auth/login");
            then.status(200).json_body(answer);
        })
        .await
}

async fn refresh<'a>(server: &'a MockServer, token: &str) -> Mock<'a> {
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

/// A refresh token that has ended.
async fn refresh_refused(server: &MockServer) -> Mock<'_> {
    refresh_answered(server, 401).await
}

async fn refresh_answered(server: &MockServer, status: u16) -> Mock<'_> {
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
async fn poll<'a>(server: &'a MockServer, token: &str) -> Mock<'a> {
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
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

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
                    concat!("reefguide-worker/", env!("CARGO_PKG_VERSION")),
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
async fn any_number_of_tasks_share_one_refresh_of_an_ended_token() {
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
async fn an_ended_refresh_token_leads_to_a_login() {
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
async fn a_login_that_is_refused_for_whatever_reason_denies_a_worker_its_jobs() {
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
async fn tasks_that_wait_for_a_login_fail_with_it_instead_of_spending_one_each() {
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
async fn what_the_api_would_answer_with_a_500_is_not_sent() {
    let server = MockServer::start_async().await;
    login(&server, &token("a", 600)).await;
    let any_post = server
        .mock_async(|when, then| {
            when.method(POST).path_prefix("/api/jobs");
            then.status(500);
        })
        .await;
    let client = client(&server);
    let (id, done) = (AssignmentId::from(7), JobStatus::Succeeded);
    let result = |payload: Value| {
        let (client, id, done) = (client.clone(), id.clone(), done.clone());
        async move {
            client
                .post_result(&id, &done, Some(&payload))
                .await
                .unwrap_err()
        }
    };
    let nul = result(json!({ "charts": [{ "title": "a\0b" }] })).await;
    insta::assert_snapshot!(nul, @"POST /jobs/assignments/7/result: the payload has a NUL character at `resultPayload.charts[0].title`, which the API cannot store");
    let large = result(json!({ "x": "y".repeat(102_400) })).await;
    insta::assert_snapshot!(large, @"POST /jobs/assignments/7/result: the request has 102447 bytes, the API takes 102400; write large results to an output file and return its path");
    let foreign = client.job(&JobId::from("9f2c")).await.unwrap_err();
    insta::assert_snapshot!(foreign, @"`9f2c` is not a ReefGuide id: those are positive whole numbers");
    let none = client.job(&JobId::from(0)).await.unwrap_err();
    insta::assert_snapshot!(none, @"`0` is not a ReefGuide id: those are positive whole numbers");
    any_post.assert_calls_async(0).await;
}

#[tokio::test]
async fn a_body_of_exactly_the_limit_is_sent() {
    let server = MockServer::start_async().await;
    login(&server, &token("a", 600)).await;
    let result = server
        .mock_async(|when, then| {
            when.method(POST).path("/api/jobs/assignments/7/result");
            then.status(200);
        })
        .await;
    let envelope = json!({ "status": "SUCCEEDED", "resultPayload": "" })
        .to_string()
        .len();
    let payload = json!("y".repeat(102_400 - envelope));
    let client = client(&server);
    client
        .post_result(&7.into(), &JobStatus::Succeeded, Some(&payload))
        .await
        .unwrap();
    result.assert_async().await;
}

#[tokio::test]
async fn the_submitters_calls_have_the_contracts_form() {
    let server = MockServer::start_async().await;
    login(&server, &token("a", 600)).await;
    let record = json!({ "id": 3, "type": "TEST", "status": "PENDING", "input_payload": {} });
    let (jobs, job) = (
        json!({ "jobs": [record], "total": 1 }),
        json!({ "job": record }),
    );
    server
        .mock_async(|when, then| {
            when.method(GET)
                .path("/api/jobs")
                .query_param("status", "PENDING")
                .query_param("userId", "2");
            then.status(200).json_body(jobs.clone());
        })
        .await;
    server
        .mock_async(|when, then| {
            when.method(GET)
                .path("/api/jobs/mine")
                .query_param_missing("userId");
            then.status(200).json_body(jobs);
        })
        .await;
    server
        .mock_async(|when, then| {
            when.method(POST).path("/api/jobs/3/cancel").body("");
            then.status(200).json_body(job);
        })
        .await;
    server
        .mock_async(|when, then| {
            when.method(GET)
                .path("/api/jobs/3/download")
                .query_param("expirySeconds", "60")
                .query_param("filterPrefix", "charts/");
            then.status(200)
                .json_body(json!({ "job": { "id": 3 }, "files": { "charts/a": "http://x" } }));
        })
        .await;
    server
        .mock_async(|when, then| {
            when.method(POST)
                .path("/api/admin/timeout-jobs")
                .json_body(json!({ "timeoutThresholdMinutes": 0.5, "jobTypes": ["TEST"] }));
            then.status(200)
                .json_body(json!({ "totalTimedOut": 1, "byType": {}, "timedOutJobIds": [3] }));
        })
        .await;
    server
        .mock_async(|when, then| {
            when.method(POST)
                .path("/api/admin/data-specification")
                .json_body(json!({ "regions": [] }));
            then.status(200)
                .json_body(json!({ "message": "ok", "updated": { "regions_count": 0 } }));
        })
        .await;
    let client = client(&server);
    let (id, test) = (JobId::from(3), JobType::from("TEST"));
    let filter = JobFilter::default().status(JobStatus::Pending).user(2);
    assert_eq!(client.jobs(&filter).await.unwrap().total, 1);
    assert_eq!(client.my_jobs(None).await.unwrap().jobs[0].job.id, id);
    assert_eq!(client.cancel(&id).await.unwrap().id, id);
    let download = client
        .download(&id, Some(Duration::from_secs(60)), Some("charts/"))
        .await
        .unwrap();
    assert_eq!(download.files["charts/a"], "http://x");
    let timed_out = client
        .timeout_jobs(Duration::from_secs(30), &[test])
        .await
        .unwrap();
    assert_eq!(timed_out.timed_out_job_ids, [id]);
    // The server of this test would answer no such request.
    let zero = client.timeout_jobs(Duration::ZERO, &[]).await.unwrap_err();
    assert!(!zero.is_retryable());
    assert_eq!(
        zero.to_string(),
        "POST /admin/timeout-jobs: timeoutThresholdMinutes: 0 is not above 0; give a longer threshold"
    );
    let updated = client
        .update_data_specification(&json!({ "regions": [] }))
        .await
        .unwrap();
    assert_eq!(updated["regions_count"], 0);
}

#[tokio::test]
async fn an_unreachable_api_is_named_without_secrets() {
    let client = Client::builder("http://127.0.0.1:1", EMAIL, "hunter2")
        .build()
        .unwrap();
    let error = client.poll(None).await.unwrap_err();
    assert!(error.is_retryable());
    let said = reefguide_transport::Chain(&error).to_string();
    assert!(
        said.starts_with("POST /auth/login: no answer from http://127.0.0.1:1: "),
        "{said}"
    );
    assert!(!format!("{client:?} {error:?}").contains("hunter2"));
}

#[test]
fn an_endpoint_that_is_no_http_url_is_refused() {
    let refused = |endpoint: &str| {
        Client::builder(endpoint, EMAIL, "")
            .build()
            .unwrap_err()
            .to_string()
    };
    insta::assert_snapshot!(refused("localhost:5000"), @r#"API endpoint "localhost:5000" is unusable: put http:// or https:// before it"#);
    insta::assert_snapshot!(refused("http://me:hunter2@reef"), @"API endpoint [redacted] is unusable: remove the user name and password before its `@`: they have their own settings");
    insta::assert_snapshot!(refused("reef"), @r#"API endpoint "reef" is unusable: put http:// or https:// before it"#);
}

#[tokio::test]
async fn a_session_is_resumed_without_a_login_until_its_refresh_token_ends() {
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
async fn a_clock_that_is_off_is_measured_against_the_answers() {
    let server = MockServer::start_async().await;
    let client = client(&server);
    assert_eq!(client.clock_ahead(), None);
    for (minutes, off) in [(0, 0..=0), (10, 595..=600), (-10, -600..=-595)] {
        let date = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(minutes);
        let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&date);
        let answer = server
            .mock_async(|when, then| {
                when.method(GET).path("/api/");
                then.status(200)
                    .header("date", date.unwrap())
                    .json_body(json!({ "message": "API healthy." }));
            })
            .await;
        client.health().await.unwrap();
        let ahead = client.clock_ahead().unwrap().as_secs();
        assert!(off.contains(&ahead), "{minutes} min: {ahead} s");
        answer.delete_async().await;
    }
}

#[tokio::test]
async fn a_token_that_is_due_serves_until_its_end_while_it_cannot_be_refreshed() {
    let server = MockServer::start_async().await;
    let old = token("old", 600);
    let login = login(&server, &old).await;
    refresh_answered(&server, 503).await;
    let poll = poll(&server, &old).await;
    let client = client(&server);
    client.poll(None).await.unwrap();
    pass(Duration::from_secs(500)).await;
    client.poll(None).await.unwrap();
    // An API in trouble is not asked for a login either: there are five in a quarter of an hour.
    login.assert_calls_async(1).await;
    poll.assert_calls_async(2).await;
}
