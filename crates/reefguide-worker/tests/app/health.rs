use std::io::ErrorKind;
use std::net::TcpListener;
use std::time::Duration;

use reefguide_client::TokenObserver;
use reefguide_worker::app::health::{HealthError, Monitor, bind, probe, serve};
use reefguide_worker::observe::health::{Health, LIMIT, Phase};
use reefguide_worker::observe::metrics::Metrics;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{Unread, child, is_child};

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(60);

async fn get(port: u16, path: &str) -> (u16, Value) {
    let url = format!("http://127.0.0.1:{port}/{path}");
    let asking = tokio::time::timeout(PATIENCE, reqwest::get(url));
    let response = asking.await.unwrap().unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[tokio::test]
async fn health_is_served_and_probed_until_the_shutdown() {
    let (listener, port) = listen();
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let (health, shutdown) = (Health::new(2), CancellationToken::new());
    let serving = serve(listener, health.clone(), Metrics::new(), shutdown.clone());
    let server = tokio::spawn(serving);

    health.enter(Phase::Working);
    health.job_started();
    let now = Instant::now();
    health.renewed(now, now + Duration::from_secs(600));
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(40)).await;
    health.contact();
    tokio::time::advance(Duration::from_secs(3)).await;
    tokio::time::resume();
    probe(port).await.unwrap();
    let (status, healthy) = get(port, "health").await;
    let expected = json!({
        "status": "healthy",
        "activeJobs": 1,
        "maxJobs": 2,
        "phase": "working",
        "version": env!("CARGO_PKG_VERSION"),
        "uptimeSeconds": 43,
        "secondsSincePoll": null,
        "secondsSinceContact": 3,
        "tokenAgeSeconds": 43,
        "tokenLeftSeconds": 556,
    });
    assert_eq!((status, healthy), (200, expected));

    tokio::time::pause();
    tokio::time::advance(LIMIT).await;
    health.contact();
    tokio::time::resume();
    let (status, unhealthy) = get(port, "health").await;
    assert_eq!(status, 503);
    assert_eq!(unhealthy["status"], "unhealthy");
    let reason = unhealthy["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("the poll loop has made no progress for"),
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
async fn readiness_follows_the_phases_of_a_worker() {
    let (listener, port) = listen();
    let health = Health::new(1);
    let monitor = Monitor::start(Some(listener), health.clone(), Metrics::new()).unwrap();
    let unready = |reason: &str| (503, json!({ "status": "not ready", "reason": reason }));
    let reason = "starting: the API has not answered yet";
    assert_eq!(get(port, "ready").await, unready(reason));
    health.enter(Phase::FindingBucket);
    let reason = "starting: the bucket is being looked for";
    assert_eq!(get(port, "ready").await, unready(reason));
    health.enter(Phase::Working);
    let ready = (200, json!({ "status": "ready" }));
    assert_eq!(get(port, "ready").await, ready);
    health.enter(Phase::Stopping);
    let reason = "stopping: no further job is claimed";
    assert_eq!(get(port, "ready").await, unready(reason));
    drop(monitor);
    assert!(TcpListener::bind(("127.0.0.1", port)).is_ok());
}

#[tokio::test]
async fn blocked_async_threads_are_unhealthy_until_they_run_again() {
    let (listener, port) = listen();
    let worker = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let health = Health::new(1);
    health.enter(Phase::Working);
    let inside = worker.enter();
    let monitor = Monitor::start(Some(listener), health.clone(), Metrics::new()).unwrap();
    drop(inside);
    let (unblock, blocked) = std::sync::mpsc::channel::<()>();
    worker.spawn(async move { blocked.recv() });

    let until = async |healthy: u16| loop {
        // Nothing polls here.
        health.polled();
        health.contact();
        let (status, body) = get(port, "health").await;
        if status == healthy {
            return body;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let unhealthy = tokio::time::timeout(PATIENCE, until(503)).await.unwrap();
    let reason = unhealthy["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("the async threads are blocked"),
        "{reason}"
    );
    let error = probe(port).await.unwrap_err();
    assert!(error.to_string().contains("async threads"), "{error}");
    unblock.send(()).unwrap();
    tokio::time::timeout(PATIENCE, until(200)).await.unwrap();
    drop(monitor);
    worker.shutdown_background();
}

/// Blocks its async threads, which is logged.
#[test]
fn child_whose_log_is_not_read() {
    if is_child() {
        Unread::log();
        blocked_async_threads_are_unhealthy_until_they_run_again();
    }
}

#[test]
fn health_is_served_while_the_log_is_not_read() {
    let output = child("health::child_whose_log_is_not_read").output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
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

/// Whether this machine has the address.
fn has(address: &str) -> bool {
    let there = TcpListener::bind((address, 0)).is_ok();
    if !there {
        eprintln!("not tried: there is no {address} here");
    }
    there
}

#[tokio::test]
async fn health_is_served_over_ipv6_and_ipv4_on_one_port() {
    let listener = bind(0).unwrap();
    let port = listener.local_addr().unwrap().port();
    let _monitor = Monitor::start(Some(listener), Health::new(1), Metrics::new()).unwrap();
    probe(port).await.unwrap();
    for host in ["127.0.0.1", "::1"] {
        if has(host) {
            let address = std::net::SocketAddr::new(host.parse().unwrap(), port);
            let url = format!("http://{address}/health");
            let answer = tokio::time::timeout(PATIENCE, reqwest::get(url)).await;
            assert_eq!(answer.unwrap().unwrap().status(), 200, "{host}");
        }
    }
}

#[tokio::test]
async fn a_worker_that_listens_at_ipv6_only_is_found() {
    if !has("::1") {
        return;
    }
    let listener = TcpListener::bind("[::1]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let _monitor = Monitor::start(Some(listener), Health::new(1), Metrics::new()).unwrap();
    probe(port).await.unwrap();
}

#[tokio::test]
async fn what_keeps_jobs_from_being_begun_is_said_to_whoever_asks() {
    let (listener, port) = listen();
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let (health, metrics) = (Health::new(1), Metrics::new());
    // On this clock, which is moved.
    let serving = serve(
        listener,
        health.clone(),
        metrics.clone(),
        CancellationToken::new(),
    );
    tokio::spawn(serving);
    health.enter(Phase::Working);
    health.set_blocked(Some("the disk is full".to_owned()));
    let unready = json!({ "status": "not ready", "reason": "the disk is full" });
    assert_eq!(get(port, "ready").await, (503, unready));
    assert!(
        metrics
            .text(&health.report())
            .contains("\nworker_ready 0\n")
    );
    assert_eq!(get(port, "health").await.0, 200, "for a while");
    tokio::time::pause();
    tokio::time::advance(LIMIT + Duration::from_secs(1)).await;
    tokio::time::resume();
    let (status, body) = get(port, "health").await;
    let reason = "no job can be started for 51 s (limit 50 s): the disk is full";
    assert_eq!((status, body["reason"].as_str().unwrap()), (503, reason));
    assert!(
        metrics
            .text(&health.report())
            .contains("\nworker_healthy 0\n")
    );
}

#[test]
fn a_port_in_use_is_named() {
    let taken = bind(0).unwrap();
    let port = taken.local_addr().unwrap().port();
    match bind(port).unwrap_err() {
        HealthError::Bind {
            port: named,
            source,
        } => {
            assert_eq!((named, source.kind()), (port, ErrorKind::AddrInUse));
        }
        other => panic!("{other}"),
    }
    // Also if only one of the families has it.
    for taken in ["0.0.0.0:0", "127.0.0.1:0"] {
        let taken = TcpListener::bind(taken).unwrap();
        let port = taken.local_addr().unwrap().port();
        assert!(matches!(bind(port), Err(HealthError::Bind { .. })));
    }
}
