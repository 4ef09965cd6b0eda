//! Tests of large and deep bodies, and of faults in bodies.

use std::time::Duration;

use reefguide_lab::{Fault, Lab, Route};
use reqwest::StatusCode;
use serde_json::json;

use crate::session::{HEALTHY, RawConnection, Session};

/// Arrays nested `depth` deep.
fn nested(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

#[tokio::test]
async fn deep_payloads_are_accepted_and_one_that_is_too_deep_does_not_hide_others() {
    let session = Session::with(Lab::builder().any_job_type().assign_race(Duration::ZERO)).await;
    let create = async |payload: String| {
        let body = format!(r#"{{"type":"DEEP","inputPayload":{payload}}}"#);
        let request = session.http.post(session.url("/api/jobs"));
        let request = request.bearer_auth(&session.token);
        let request = request.header("content-type", "application/json");
        request.body(body).send().await.unwrap()
    };
    let polled = async || {
        let answer = session.get("/api/jobs/poll?jobType=DEEP").await.unwrap();
        answer.text().await.unwrap()
    };
    assert_eq!(create(nested(500)).await.status(), 200);
    let offered = polled().await;
    assert!(offered.contains(&nested(500)), "{offered}");
    for depth in [501, 502, 50_000] {
        assert_eq!(create(nested(depth)).await.status(), 500, "{depth}");
    }
    let too_deep = (0..501).fold(json!(1), |inside, _| json!([inside]));
    assert!(session.lab.submit("DEEP", too_deep).is_err());
    assert_eq!(polled().await, offered);
}

#[tokio::test]
async fn a_cut_body_ends_with_a_reset_after_its_first_bytes() {
    let lab = Lab::builder().start().await.unwrap();
    lab.faults().add(Fault::cut_body(Route::Health, 5).times(1));
    let mut connection = RawConnection::to(&lab).await;
    connection.ask().await;
    let answer = connection.read_to(&HEALTHY[..5]).await;
    assert!(answer.ends_with(&HEALTHY[..5]), "{answer}");
    let reset = connection.end().await.unwrap_err();
    assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_corrupt_body_has_one_wrong_byte() {
    let session = Session::without_races().await;
    session.fault(Fault::corrupt_body(Route::Health, 3));
    let answer = session.get("/api").await.unwrap();
    let received = answer.bytes().await.unwrap();
    let wrong: Vec<_> = (0..received.len())
        .filter(|at| received[*at] != HEALTHY.as_bytes()[*at])
        .collect();
    assert_eq!((received.len(), wrong), (HEALTHY.len(), vec![3]));
}

#[tokio::test]
async fn a_body_in_slow_pieces_is_delayed_but_complete() {
    let session = Session::without_races().await;
    let wait = Duration::from_millis(30);
    session.fault(Fault::slow_pieces(Route::Health, wait));
    let since = std::time::Instant::now();
    let answer = session.get("/api").await.unwrap();
    assert_eq!(answer.text().await.unwrap(), HEALTHY);
    assert!(since.elapsed() >= wait, "{:?}", since.elapsed());
}

#[tokio::test]
async fn a_request_with_a_cut_upload_is_not_handled() {
    let session = Session::without_races().await;
    session.fault(Fault::cut_upload(Route::Create, 10));
    let job = json!({"type": "TEST", "inputPayload": {"id": 1}});
    assert!(session.post("/api/jobs", &job).await.is_err());
    assert_eq!(session.lab.jobs().unwrap().len(), 0);
    assert_eq!(session.lab.requests().pop().unwrap().status, None);
}

#[tokio::test]
async fn a_request_with_a_corrupt_upload_is_handled_as_it_arrives() {
    let session = Session::without_races().await;
    session.fault(Fault::corrupt_upload(Route::Create, 0));
    let job = json!({"type": "TEST", "inputPayload": {"id": 1}});
    let answer = session.post("/api/jobs", &job).await.unwrap();
    // The API's response to a body that is not JSON.
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(session.lab.jobs().unwrap().len(), 0);
}

#[tokio::test]
async fn a_body_that_ends_before_the_fault_passes() {
    let session = Session::without_races().await;
    let faults = session.lab.faults();
    let job = json!({"type": "TEST", "inputPayload": {"id": 1}});
    for fault in [
        Fault::cut_upload(Route::Create, 10_000),
        Fault::corrupt_upload(Route::Create, 10_000),
        Fault::cut_body(Route::Create, 10_000),
        Fault::corrupt_body(Route::Create, 10_000),
    ] {
        faults.clear();
        faults.add(fault);
        let answer = session.post("/api/jobs", &job).await.unwrap();
        assert!(answer.status().is_success());
        answer.json::<serde_json::Value>().await.unwrap();
        assert_eq!(faults.fired(), 1);
    }
}
