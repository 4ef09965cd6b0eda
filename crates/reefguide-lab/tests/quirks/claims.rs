//! Tests of claims and results: races, closed assignments, overwritten statuses.

use std::collections::BTreeSet;
use std::time::Duration;

use reefguide_lab::{JobTypeSpec, Lab};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::session::{Session, json_of};

/// Long enough for all requests of a test to arrive within half of it.
const RACE: Duration = Duration::from_secs(1);

#[tokio::test]
async fn simultaneous_assigns_all_succeed_and_the_next_one_fails() {
    let session = Session::with(Lab::builder().assign_race(RACE)).await;
    let job = session.submit(1);
    let answers = futures_util::future::join_all((0..20).map(|_| session.assign(job))).await;
    let mut ids = BTreeSet::new();
    for answer in answers {
        let answer = answer.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        ids.insert(json_of(answer).await["assignment"]["id"].as_i64().unwrap());
    }
    assert_eq!(ids.len(), 20);
    assert_eq!(session.assign_status(job).await, StatusCode::BAD_REQUEST);
    assert_eq!(
        session.lab.job(job).unwrap()["assignments"]
            .as_array()
            .unwrap()
            .len(),
        20
    );
}

#[tokio::test]
async fn assigning_and_cancelling_a_job_at_once_both_succeed() {
    let session = Session::with(Lab::builder().assign_race(RACE)).await;
    let assign_and_cancel = async |cancel_first: bool| {
        let job = session.submit(i64::from(cancel_first));
        let path = format!("/api/jobs/{job}/cancel");
        let nothing = json!({});
        let (assign, cancel) = (session.assign(job), session.post(&path, &nothing));
        let (assigned, cancelled) = if cancel_first {
            let (cancelled, assigned) = tokio::join!(cancel, assign);
            (assigned.unwrap(), cancelled.unwrap())
        } else {
            let (assigned, cancelled) = tokio::join!(assign, cancel);
            (assigned.unwrap(), cancelled.unwrap())
        };
        assert_eq!(
            (assigned.status(), cancelled.status()),
            (StatusCode::OK, StatusCode::OK)
        );
        assert_eq!(json_of(cancelled).await["job"]["status"], "CANCELLED");
        // The assignment is written last.
        assert_eq!(session.status(job), "IN_PROGRESS");
    };
    tokio::join!(assign_and_cancel(true), assign_and_cancel(false));
}

#[tokio::test]
async fn a_fractional_job_id_is_truncated() {
    let session = Session::without_races().await;
    let job = session.submit(1);
    let body = json!({ "jobId": job as f64 + 0.9, "ecsTaskArn": "t", "ecsClusterArn": "c" });
    let answer = session.post("/api/jobs/assign", &body).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(json_of(answer).await["assignment"]["job_id"], job);
    let read = session.get(&format!("/api/jobs/{job}.7abc")).await.unwrap();
    assert_eq!(json_of(read).await["job"]["id"], job);
    let negative = session.get("/api/jobs/-1").await.unwrap();
    assert_eq!(negative.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn of_two_simultaneous_results_one_gets_a_500() {
    let session = Session::with(Lab::builder().assign_race(RACE)).await;
    let assignment = session.assigned(session.submit(1)).await;
    let body = json!({ "status": "SUCCEEDED" });
    let (one, other) = tokio::join!(
        session.result(&assignment, &body),
        session.result(&assignment, &body)
    );
    let statuses = BTreeSet::from([one.unwrap().status(), other.unwrap().status()]);
    assert_eq!(
        statuses,
        BTreeSet::from([StatusCode::OK, StatusCode::INTERNAL_SERVER_ERROR])
    );
}

#[tokio::test]
async fn a_result_with_status_in_progress_completes_the_assignment() {
    let session = Session::without_races().await;
    let job = session.submit(1);
    let assignment = session.assigned(job).await;
    assert_eq!(
        session
            .result_status(&assignment, &json!({ "status": "IN_PROGRESS" }))
            .await,
        200
    );
    let second = session
        .result(&assignment, &json!({ "status": "SUCCEEDED" }))
        .await
        .unwrap();
    assert_eq!(
        json_of(second).await["message"],
        "Assignment already completed!"
    );
    assert_eq!(session.status(job), "IN_PROGRESS");
}

#[tokio::test]
async fn a_job_set_back_to_pending_is_offered_only_after_its_assignment_has_expired() {
    let brief = JobTypeSpec::new("BRIEF").expiry(Duration::ZERO);
    let session = Session::with(Lab::builder().job_type(brief).assign_race(Duration::ZERO)).await;
    let long = session.submit(1);
    let brief = session.lab.submit("BRIEF", Value::Null).unwrap();
    for job in [long, brief] {
        let assignment = session.assigned(job).await;
        assert_eq!(
            session
                .result_status(&assignment, &json!({ "status": "PENDING" }))
                .await,
            200
        );
        assert_eq!(session.status(job), "PENDING");
    }
    assert_eq!(
        (session.polled("TEST").await, session.polled("BRIEF").await),
        (vec![], vec![brief])
    );
    assert_eq!(
        session.assign_status(long).await,
        200,
        "it can be claimed nevertheless"
    );
}

#[tokio::test]
async fn an_expired_job_stays_in_progress_and_is_not_offered() {
    let brief = JobTypeSpec::new("BRIEF").expiry(Duration::ZERO);
    let session = Session::with(Lab::builder().job_type(brief).assign_race(Duration::ZERO)).await;
    let job = session.lab.submit("BRIEF", Value::Null).unwrap();
    session.assigned(job).await;
    assert_eq!(
        (session.status(job), session.polled("BRIEF").await),
        ("IN_PROGRESS".into(), vec![])
    );
}

#[tokio::test]
async fn a_result_overwrites_timed_out() {
    let session = Session::without_races().await;
    let job = session.submit(1);
    let assignment = session.assigned(job).await;
    session
        .post(
            "/api/admin/timeout-jobs",
            &json!({ "timeoutThresholdMinutes": 1e-6 }),
        )
        .await
        .unwrap();
    assert_eq!(session.status(job), "TIMED_OUT");
    session
        .result(&assignment, &json!({ "status": "SUCCEEDED" }))
        .await
        .unwrap();
    assert_eq!(session.status(job), "SUCCEEDED");
}

#[tokio::test]
async fn after_a_refused_result_another_can_be_posted() {
    let session = Session::without_races().await;
    let job = session.submit(1);
    let assignment = session.assigned(job).await;
    let refused = session
        .result(
            &assignment,
            &json!({ "status": "SUCCEEDED", "resultPayload": { "extra": 1 } }),
        )
        .await;
    assert_eq!(
        json_of(refused.unwrap()).await["message"],
        "Invalid result payload for job type TEST"
    );
    assert_eq!(session.status(job), "IN_PROGRESS");
    for falsy in [json!(0), json!(""), json!(false)] {
        let body = json!({ "status": "FAILED", "resultPayload": falsy, "unknown": true });
        let job =
            session.submit(2 + i64::from(falsy.is_string()) + 2 * i64::from(falsy.is_boolean()));
        assert_eq!(
            session
                .result_status(&session.assigned(job).await, &body)
                .await,
            200,
            "{falsy}"
        );
    }
    assert_eq!(
        session
            .result_status(&assignment, &json!({ "status": "FAILED" }))
            .await,
        200
    );
    assert_eq!(session.status(job), "FAILED");
}

#[tokio::test]
async fn a_nul_character_anywhere_gets_a_500() {
    let session = Session::with(Lab::builder().any_job_type().assign_race(Duration::ZERO)).await;
    let body = json!({ "type": "OPEN", "inputPayload": { "text": "a\0b" } });
    assert_eq!(
        session.post("/api/jobs", &body).await.unwrap().status(),
        500
    );
    let job = session.lab.submit("OPEN", Value::Null).unwrap();
    let body = json!({ "jobId": job, "ecsTaskArn": "a\0b", "ecsClusterArn": "" });
    assert_eq!(
        session
            .post("/api/jobs/assign", &body)
            .await
            .unwrap()
            .status(),
        500
    );
    let body = json!({ "status": "SUCCEEDED", "resultPayload": { "a\0b": 1 } });
    assert_eq!(
        session
            .result_status(&session.assigned(job).await, &body)
            .await,
        500
    );
    assert_eq!(session.status(job), "IN_PROGRESS");
}
