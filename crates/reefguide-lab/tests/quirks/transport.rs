//! Connections, paths and bodies.

use std::io::Write;
use std::time::Duration;

use flate2::{Compression, write::GzEncoder};
use reefguide_lab::Lab;
use reqwest::StatusCode;

use crate::session::{HEALTHY, Session, Wire};

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let lab = Lab::builder()
        .keep_alive(Duration::from_millis(20))
        .start()
        .await
        .unwrap();
    let mut wire = Wire::to(&lab).await;
    wire.ask().await;
    wire.read_to(HEALTHY).await;
    assert_eq!(wire.end().await.unwrap(), 0);
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let lab = Lab::builder().start().await.unwrap();
    let mut wire = Wire::to(&lab).await;
    for _ in 0..3 {
        wire.ask().await;
        let answer = wire.read_to(HEALTHY).await;
        assert!(answer.contains("keep-alive: timeout=5\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn paths_are_found_in_any_case_and_with_a_trailing_slash() {
    let session = Session::calm().await;
    let job = session.submit(1);
    for path in [
        "/API/Jobs/Poll/?jobType=TEST",
        &format!("/api/JOBS/{job}/"),
        "/api",
        "/API/",
    ] {
        assert_eq!(
            session.get(path).await.unwrap().status(),
            StatusCode::OK,
            "{path}"
        );
    }
    let missing = session.get("/api/Nowhere").await.unwrap();
    assert!(
        missing
            .text()
            .await
            .unwrap()
            .contains("Cannot GET /api/Nowhere")
    );
}

/// Posts a result for a new job, its body `length` bytes long before `pack`.
async fn post_result(
    session: &Session,
    length: usize,
    pack: impl Fn(&[u8]) -> (Vec<u8>, &'static str),
) -> StatusCode {
    let assignment = session
        .assigned(session.submit(i64::try_from(length).unwrap()))
        .await;
    let frame = r#"{"status":"SUCCEEDED","padding":""}"#;
    let body = frame.replace(
        r#""""#,
        &format!("\"{}\"", "x".repeat(length - frame.len())),
    );
    let (body, encoding) = pack(body.as_bytes());
    let url = session.url(&format!(
        "/api/jobs/assignments/{}/result",
        assignment["id"]
    ));
    let request = session.http.post(url).bearer_auth(&session.token);
    let request = request
        .header("content-type", "application/json")
        .header("content-encoding", encoding);
    request.body(body).send().await.unwrap().status()
}

#[tokio::test]
async fn a_body_may_have_102400_bytes_packed_or_not() {
    let session = Session::calm().await;
    let plain = |body: &[u8]| (body.to_vec(), "identity");
    let gzip = |body: &[u8]| {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(body).unwrap();
        (packed.finish().unwrap(), "gzip")
    };
    let brotli = |body: &[u8]| (body.to_vec(), "br");
    assert_eq!(post_result(&session, 102_400, plain).await, StatusCode::OK);
    assert_eq!(post_result(&session, 102_399, gzip).await, StatusCode::OK);
    assert_eq!(
        post_result(&session, 102_401, gzip).await,
        StatusCode::INTERNAL_SERVER_ERROR
    );
    assert_eq!(
        post_result(&session, 1_000, brotli).await,
        StatusCode::INTERNAL_SERVER_ERROR
    );
}

#[tokio::test]
async fn a_body_far_over_the_limit_is_heard_out_and_refused() {
    let session = Session::calm().await;
    let status = post_result(&session, 20_000_000, |body| (body.to_vec(), "identity")).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
}
