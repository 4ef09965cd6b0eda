//! Tests of connections, paths and the size of bodies.

use std::io::Write;
use std::time::{Duration, Instant};

use flate2::{Compression, write::GzEncoder};
use reefguide_lab::Lab;
use reqwest::{Method, StatusCode};

use crate::session::{HEALTHY, RawConnection, Session};

#[tokio::test]
async fn an_idle_connection_is_closed_a_second_later_than_announced() {
    let lab = Lab::builder()
        .keep_alive(Duration::from_millis(200))
        .start()
        .await
        .unwrap();
    let mut connection = RawConnection::to(&lab).await;
    connection.ask().await;
    connection.read_to(HEALTHY).await;
    let answered = Instant::now();
    assert_eq!(connection.end().await.unwrap(), 0);
    let idle = answered.elapsed();
    assert!(idle >= Duration::from_millis(1150), "{idle:?}");
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let lab = Lab::builder().start().await.unwrap();
    let mut connection = RawConnection::to(&lab).await;
    for _ in 0..3 {
        connection.ask().await;
        let answer = connection.read_to(HEALTHY).await;
        assert!(answer.contains("keep-alive: timeout=5\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn paths_are_found_in_any_case_and_with_any_number_of_slashes() {
    let session = Session::without_races().await;
    let job = session.submit(1);
    for path in [
        "/API/Jobs/Poll/?jobType=TEST",
        &format!("/api/JOBS/{job}/"),
        "/api",
        "/API/",
        "//api/jobs//poll",
        &format!("/api//jobs///{job}//"),
        "//api//",
    ] {
        assert_eq!(
            session.get(path).await.unwrap().status(),
            StatusCode::OK,
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_unknown_route_or_a_wrong_method_gets_the_routers_page() {
    let session = Session::without_races().await;
    for (method, path) in [
        (Method::GET, "/api/Nowhere//at'all"),
        (Method::POST, "/"),
        (Method::PUT, "/api/jobs"),
        (Method::GET, "/api/auth/login"),
        (Method::DELETE, "/api/jobs/1"),
        (Method::OPTIONS, "/api/jobs/poll"),
        (Method::POST, "/api/auth/register"),
        (Method::POST, "/api/auth/change-password"),
        (Method::GET, "/api/.well-known/jwks.json"),
        (Method::GET, "/api/admin/regions"),
        (Method::GET, "/api/admin/criteria/R/ranges"),
        (Method::POST, "/api/admin/data-specification-update"),
        (Method::POST, "/api/jobs/invalidate-cache"),
        (Method::GET, "/api/jobs/requests"),
    ] {
        let asked = session.http.request(method.clone(), session.url(path));
        let answer = asked.bearer_auth(&session.token).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{method} {path}");
        assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
        let line = format!("<pre>Cannot {method} {}</pre>", path.replace('\'', "&#39;"));
        let page = answer.text().await.unwrap();
        assert!(page.contains(&line), "{page}");
    }
}

/// Posts a result for a new job. Its body has `length` bytes before `encode`.
async fn post_result(
    session: &Session,
    length: usize,
    encode: impl Fn(&[u8]) -> (Vec<u8>, &'static str),
) -> StatusCode {
    let assignment = session
        .assigned(session.submit(i64::try_from(length).unwrap()))
        .await;
    let frame = r#"{"status":"SUCCEEDED","padding":""}"#;
    let body = frame.replace(
        r#""""#,
        &format!("\"{}\"", "x".repeat(length - frame.len())),
    );
    let (body, encoding) = encode(body.as_bytes());
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
async fn a_body_may_have_102400_bytes_compressed_or_not() {
    let session = Session::without_races().await;
    let plain = |body: &[u8]| (body.to_vec(), "identity");
    let gzip = |body: &[u8]| {
        let mut compressed = GzEncoder::new(Vec::new(), Compression::default());
        compressed.write_all(body).unwrap();
        (compressed.finish().unwrap(), "gzip")
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
async fn a_body_far_over_the_limit_is_read_to_its_end_and_refused() {
    let session = Session::without_races().await;
    let status = post_result(&session, 20_000_000, |body| (body.to_vec(), "identity")).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
}
