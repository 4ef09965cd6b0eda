//! Tests of the audit, and of the count of connections.

use std::time::Duration;

use reefguide_lab::{JobTypeSpec, Lab, Outputs};
use serde_json::{Value, json};

use crate::session::Session;

/// The expected outputs of every job.
fn outputs(_: &Value) -> Outputs {
    Outputs::from([("a.txt".to_owned(), b"reef".to_vec())])
}

fn found(session: &Session) -> Vec<String> {
    let violations = session.lab.audit(outputs).unwrap();
    violations.iter().map(ToString::to_string).collect()
}

/// Stores `text` at an assignment's location.
async fn store(session: &Session, assignment: &Value, path: &str, text: &'static [u8]) {
    let key = format!("{}/{path}", session.prefix(assignment));
    session.put(&key, text).await;
}

async fn report(session: &Session, assignment: &Value, status: &str) {
    let answer = session
        .result(assignment, &json!({ "status": status }))
        .await;
    assert!(answer.unwrap().status().is_success());
}

#[tokio::test]
async fn jobs_that_ended_as_promised_pass_the_audit() {
    let session = Session::without_races().await;
    let good = session.assigned(session.submit(1)).await;
    store(&session, &good, "a.txt", b"reef").await;
    report(&session, &good, "SUCCEEDED").await;
    let bad = session.assigned(session.submit(2)).await;
    report(&session, &bad, "FAILED").await;
    session.submit(3);
    assert_eq!(found(&session), [""; 0]);
}

#[tokio::test]
async fn missing_wrong_and_unexpected_outputs_are_found() {
    let session = Session::without_races().await;
    for (id, path, text) in [(1, "a.txt", &b"rock"[..]), (2, "b.txt", b"reef")] {
        let assignment = session.assigned(session.submit(id)).await;
        store(&session, &assignment, path, text).await;
        report(&session, &assignment, "SUCCEEDED").await;
    }
    let failed = session.assigned(session.submit(3)).await;
    store(&session, &failed, "a.txt", b"reef").await;
    report(&session, &failed, "FAILED").await;
    let upload = session.s3().create_multipart_upload();
    let upload = upload.bucket(session.lab.bucket()).key("results/large");
    upload.send().await.unwrap();
    let found = found(&session);
    let expected = [
        "outputs: job 1: ",
        "outputs: job 2: ",
        "leftovers: the object results/test/2/",
        "leftovers: the object results/test/3/",
        "leftovers: an upload to results/large is still open",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}");
    }
}

#[tokio::test]
async fn a_job_in_progress_a_second_result_and_a_late_result_are_found() {
    let lab = Lab::builder()
        .assign_race(Duration::from_millis(100))
        .job_type(JobTypeSpec::new("TEST").expiry(Duration::ZERO));
    let session = Session::with(lab).await;
    let job = session.submit(1);
    let (first, second) = tokio::join!(session.assigned(job), session.assigned(job));
    assert_eq!(found(&session), ["ended: job 1 is IN_PROGRESS"]);
    for assignment in [first, second] {
        report(&session, &assignment, "FAILED").await;
    }
    let found = found(&session);
    assert_eq!(found[0], "one-result: job 1 has 2");
    assert!(
        found[1].starts_with("lease: job 1 expired at "),
        "{found:?}"
    );
}

#[tokio::test]
async fn open_connections_are_counted() {
    let session = Session::without_races().await;
    assert_eq!(session.lab.connections(), 1);
    let Session { lab, http, .. } = session;
    drop(http);
    let gone = async {
        while lab.connections() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone)
        .await
        .unwrap();
}
