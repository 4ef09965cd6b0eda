use std::io::ErrorKind;
use std::time::Duration;

use reefguide_worker::health::{Health, TURN_LIMIT};
use reefguide_worker::service::health::{HealthError, bind, probe, serve};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

async fn body(port: u16) -> (u16, serde_json::Value) {
    let url = format!("http://127.0.0.1:{port}/health");
    let response = reqwest::get(url).await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn health_is_served_and_probed_until_the_shutdown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (health, shutdown) = (Health::new(2), CancellationToken::new());
    let server = tokio::spawn(serve(listener, health.clone(), shutdown.clone()));

    health.job_started();
    probe(port).await.unwrap();
    let healthy = serde_json::json!({"status": "healthy", "activeJobs": 1, "maxJobs": 2});
    assert_eq!(body(port).await, (200, healthy));

    tokio::time::pause();
    tokio::time::advance(TURN_LIMIT + Duration::from_secs(1)).await;
    tokio::time::resume();
    let (status, unhealthy) = body(port).await;
    assert_eq!(status, 503);
    assert_eq!(unhealthy["status"], "unhealthy");
    let reason = unhealthy["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("the poll loop has not turned for"),
        "{reason}"
    );
    let error = probe(port).await.unwrap_err();
    assert!(matches!(error, HealthError::Unhealthy { .. }), "{error}");

    shutdown.cancel();
    server.await.unwrap().unwrap();
    let error = probe(port).await.unwrap_err();
    assert!(matches!(error, HealthError::NoAnswer { .. }), "{error}");
}

#[tokio::test]
async fn something_else_on_the_port_is_not_taken_for_health() {
    let server = httpmock::MockServer::start_async().await;
    server.mock(|when, then| {
        when.path("/health");
        then.status(200).body("OK");
    });
    let error = probe(server.port()).await.unwrap_err();
    assert!(matches!(error, HealthError::NoAnswer { .. }), "{error}");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let taken = bind(0).await.unwrap();
    let port = taken.local_addr().unwrap().port();
    match bind(port).await.unwrap_err() {
        HealthError::Bind {
            port: named,
            source,
        } => {
            assert_eq!((named, source.kind()), (port, ErrorKind::AddrInUse));
        }
        other => panic!("{other}"),
    }
}
