//! The requests of the calls, and those that are refused unsent.

use std::time::Duration;

use httpmock::prelude::*;
use reefguide_client::job::{AssignmentId, JobId, JobStatus, JobType};
use reefguide_client::{Client, JobFilter};
use serde_json::{Value, json};

use crate::fixture::{EMAIL, client, login, token};

#[tokio::test]
async fn requests_that_the_api_would_answer_with_a_500_are_not_sent() {
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
    // The server of this test has no answer to such a request.
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
    let shown = reefguide_transport::Chain(&error).to_string();
    assert!(
        shown.starts_with("POST /auth/login: no answer from http://127.0.0.1:1: "),
        "{shown}"
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
