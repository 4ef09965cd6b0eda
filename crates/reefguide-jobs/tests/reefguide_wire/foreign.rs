//! Answers of something between the source and the API.

use std::time::Duration;

use httpmock::prelude::*;
use reefguide_jobs::source::reefguide::ReefGuide;
use reefguide_jobs::source::{ClaimStatus, Claimed, JobSource, SourceError};
use serde_json::json;

use crate::fixture::{FOREIGN, PAGE, answer, client, login, token};
use crate::results::claim;

#[tokio::test]
async fn a_login_that_something_in_between_answers_makes_the_source_unavailable() {
    for foreign in FOREIGN {
        let server = MockServer::start_async().await;
        server
            .mock_async(|when, then| {
                when.path("/api/auth/login");
                answer(then, foreign);
            })
            .await;
        let source = ReefGuide::builder(client(&server)).build();
        let error = source.poll(&"TEST".into()).await.unwrap_err();
        assert!(
            matches!(error, SourceError::Unavailable { .. }),
            "{foreign:?}: {error:?}"
        );
    }
}

#[tokio::test]
async fn only_the_service_says_that_a_job_is_gone() {
    let server = MockServer::start_async().await;
    login(&server, &token("a", 600)).await;
    let source = ReefGuide::builder(client(&server)).build();
    let held = claim();
    for foreign in FOREIGN {
        let mock = server
            .mock_async(|when, then| {
                when.method(GET).path("/api/jobs/1");
                answer(then, foreign);
            })
            .await;
        let standing = source.claim_status(&held).await;
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
    assert_eq!(source.claim_status(&held).await.unwrap(), ClaimStatus::Gone);
    assert!(source.recover(&1.into(), "dead").await.unwrap().is_none());
}

#[tokio::test]
async fn a_claim_that_something_in_between_refused_is_looked_up() {
    for status in [200, 400, 401, 403, 404, 409] {
        let server = MockServer::start_async().await;
        login(&server, &token("a", 600)).await;
        server
            .mock_async(|when, then| {
                when.path("/api/jobs/assign");
                answer(then, (status, "text/html", PAGE));
            })
            .await;
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
        let claimed = source.claim(&claim().job).await.unwrap();
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
    let claimed = source.claim(&claim().job).await.unwrap();
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
    let claiming = tokio::spawn(async move { source.claim(&claim().job).await });
    while cached.calls_async().await == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
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
