//! What counts as a delivered result, and which are sent.

use std::time::Duration;

use httpmock::prelude::*;
use reefguide_jobs::job::{Assignment, Claim, Job, JobStatus, Outcome};
use reefguide_jobs::source::reefguide::ReefGuide;
use reefguide_jobs::source::{Delivery, JobSource, SourceError};
use reefguide_transport::Chain;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::fixture::{PAGE, client, login, token};

const RESULT: &str = "/api/jobs/assignments/5/result";

/// The claim of job 1, by assignment 5.
pub(crate) fn claim() -> Claim {
    Claim {
        job: Job {
            id: 1.into(),
            job_type: "TEST".into(),
            payload: json!({}),
            created_at: None,
            unreadable: None,
        },
        assignment: Assignment {
            id: 5.into(),
            storage_uri: "s3://b/k".into(),
            expires_at: None,
        },
        claimed_at: Instant::now(),
        lease: None,
    }
}

pub(crate) fn succeeded() -> Outcome {
    Outcome::Succeeded { result: json!({}) }
}

#[tokio::test]
async fn a_result_is_delivered_when_the_api_says_so_and_not_when_a_page_is() {
    let server = MockServer::start_async().await;
    login(&server, &token("a", 600)).await;
    let source = ReefGuide::builder(client(&server)).build();
    for (status, body) in [
        (200, PAGE),
        (200, "{}"),
        (201, ""),
        (204, ""),
        (400, PAGE),
        (404, PAGE),
    ] {
        let mock = server
            .mock_async(|when, then| {
                when.path(RESULT);
                then.status(status).body(body);
            })
            .await;
        let delivered = source.deliver(&claim(), &succeeded()).await;
        assert!(
            matches!(delivered, Err(SourceError::Unavailable { .. })),
            "{status} {body}: {delivered:?}"
        );
        mock.delete_async().await;
    }
    server
        .mock_async(|when, then| {
            when.path(RESULT);
            then.status(200);
        })
        .await;
    let delivered = source.deliver(&claim(), &succeeded()).await;
    assert_eq!(delivered.unwrap(), Delivery::Recorded);
}

#[tokio::test]
async fn who_reported_a_job_is_asked_again_when_a_page_answers() {
    let server = MockServer::start_async().await;
    login(&server, &token("a", 600)).await;
    server
        .mock_async(|when, then| {
            when.path(RESULT);
            let body = json!({ "status": 400, "message": "Assignment already completed!" });
            then.status(400).json_body(body);
        })
        .await;
    let page = server
        .mock_async(|when, then| {
            when.path("/api/jobs/1");
            then.status(404).body(PAGE);
        })
        .await;
    let source = ReefGuide::builder(client(&server)).build();
    let delivering = tokio::spawn(async move { source.deliver(&claim(), &succeeded()).await });
    while page.calls_async().await == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    page.delete_async().await;
    let job = json!({ "id": 1, "type": "TEST", "status": "FAILED", "assignments": [] });
    server
        .mock_async(|when, then| {
            when.path("/api/jobs/1");
            then.status(200).json_body(json!({ "job": job }));
        })
        .await;
    let recorded = Delivery::AlreadyRecorded(Some(JobStatus::Failed));
    assert_eq!(delivering.await.unwrap().unwrap(), recorded);
}

#[tokio::test]
async fn a_result_that_the_api_does_not_check_is_not_sent() {
    let server = MockServer::start_async().await;
    login(&server, &token("a", 600)).await;
    let posted = server
        .mock_async(|when, then| {
            when.path(RESULT);
            then.status(200);
        })
        .await;
    let source = ReefGuide::builder(client(&server)).build();
    let deep = (0..101).fold(json!(1), |inner, _| json!([inner]));
    let mut shown = String::new();
    for result in [
        json!(false),
        json!(0),
        json!(0.0),
        json!(-0.0),
        json!(""),
        deep,
    ] {
        let outcome = Outcome::Succeeded { result };
        let error = source.check(&outcome).unwrap_err();
        assert!(
            matches!(error, SourceError::ResultRefused { .. }),
            "{error:?}"
        );
        shown += &format!("{}\n", Chain(&error));
        // An outcome from a record may not have been checked.
        let delivered = source.deliver(&claim(), &outcome).await;
        assert!(
            matches!(delivered, Err(SourceError::ResultRefused { .. })),
            "{delivered:?}"
        );
    }
    insta::assert_snapshot!(shown, @r#"
    result refused: the API does not check `false`: return an object
    result refused: the API does not check `0`: return an object
    result refused: the API does not check `0.0`: return an object
    result refused: the API does not check `-0.0`: return an object
    result refused: the API does not check `""`: return an object
    result refused: the result is nested deeper than 100 levels; write it to an output file and return its path
    "#);
    posted.assert_calls_async(0).await;
    let truthy = [
        json!(true),
        json!(1),
        json!(-0.5),
        json!(" "),
        json!([]),
        json!({}),
        Value::Null,
    ];
    for result in truthy {
        source.check(&Outcome::Succeeded { result }).unwrap();
    }
}
