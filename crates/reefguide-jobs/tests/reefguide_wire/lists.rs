//! Lists with a job that cannot be read.

use httpmock::prelude::*;
use reefguide_jobs::job::{JobStatus, Outcome};
use reefguide_jobs::source::JobSource;
use reefguide_jobs::source::reefguide::ReefGuide;

use crate::fixture::{client, jobs, login, token};

#[tokio::test]
async fn one_job_that_cannot_be_read_hides_no_other_from_a_worker() {
    let server = MockServer::start_async().await;
    login(&server, &token("a", 600)).await;
    server
        .mock_async(|when, then| {
            when.path("/api/jobs/poll");
            then.status(200).body(format!(r#"{{"jobs":[{}]}}"#, jobs()));
        })
        .await;
    let source = ReefGuide::builder(client(&server)).build();
    let offered: Vec<_> = source.poll(&"TEST".into()).await.unwrap();
    let offered: Vec<_> = offered
        .into_iter()
        .map(|job| {
            let unreadable = job.unreadable.unwrap_or_else(|| job.payload.to_string());
            format!("{} {}: {unreadable}", job.id, job.job_type)
        })
        .collect();
    insta::assert_snapshot!(offered.join("\n"), @r#"
    1 TEST: {"id":1}
    2 TEST: its `input_payload` is nested deeper than 100 levels
    3 TEST: {"id":3}
    4 TEST: its `type` is missing or not a string
    5 TEST: {"id":5}
    9 TEST: {"id":9}
    "#);
}

#[tokio::test]
async fn a_job_whose_payload_cannot_be_read_can_be_claimed_and_reported() {
    let server = MockServer::start_async().await;
    login(&server, &token("a", 600)).await;
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let assignment = r#"{"id":5,"job_id":2,"ecs_task_arn":"me","storage_uri":"s3://b/k"}"#;
    let job = format!(
        r#"{{"id":2,"type":"TEST","status":"IN_PROGRESS","input_payload":{deep},"assignments":[{assignment}]}}"#
    );
    server
        .mock_async(|when, then| {
            when.path("/api/jobs/assign");
            then.status(200)
                .body(format!(r#"{{"assignment":{assignment}}}"#));
        })
        .await;
    server
        .mock_async(|when, then| {
            when.path("/api/jobs/2");
            then.status(200).body(format!(r#"{{"job":{job}}}"#));
        })
        .await;
    let failed = server
        .mock_async(|when, then| {
            when.path("/api/jobs/assignments/5/result")
                .body(r#"{"status":"FAILED"}"#);
            then.status(200);
        })
        .await;
    let source = ReefGuide::builder(client(&server)).task("me", "").build();
    let claim = source.recover(&2.into(), "me").await.unwrap().unwrap();
    assert!(claim.job.unreadable.is_some());
    let reason = "unreadable".to_owned();
    source
        .deliver(&claim, &Outcome::Failed { reason })
        .await
        .unwrap();
    failed.assert_async().await;
    let details = client(&server).job(&2.into()).await.unwrap();
    assert_eq!(details.job.status, JobStatus::InProgress);
}
