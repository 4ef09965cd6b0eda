//! `healthcheck`: the health of the worker on this machine, for containers without curl.

use reefguide_lab::{Fault, Route};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::fixture::{assert_shown, closed_port, free_port, lab, submit_test, worker_for};
use crate::program::Program;

/// Whether a worker is ready, and the reason it gives.
async fn ready(port: u16) -> (bool, String) {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let request = "GET /ready HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n";
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.starts_with("HTTP/1.1 200 "), body.to_owned())
}

#[tokio::test]
async fn a_worker_is_ready_from_its_login_until_it_is_told_to_stop() {
    let lab = lab().await;
    let away = lab.faults().add(Fault::status(Route::Login, 503));
    let port = free_port();
    let program = worker_for(&lab).env("PORT", port.to_string());
    let mut worker = program.start(&[]);
    worker.logs("API not ready yet").await;
    let (is_ready, body) = ready(port).await;
    assert!(!is_ready && body.contains("starting: the API"), "{body}");
    lab.faults().remove(away);
    worker.logs("claims use a local identity").await;
    let not_delivered = lab.faults().add(Fault::status(Route::Result, 503));
    submit_test(&lab, 1);
    worker.logs("outcome not delivered yet").await;
    let (is_ready, body) = ready(port).await;
    assert!(is_ready, "{body}");
    worker.signal("TERM").await;
    worker.logs("waiting for running jobs").await;
    let (is_ready, body) = ready(port).await;
    assert!(!is_ready && body.contains("stopping"), "{body}");
    lab.faults().remove(not_delivered);
    assert_eq!(worker.exited().await.code, Some(0));
}

#[tokio::test]
async fn a_worker_whose_async_threads_are_blocked_is_unhealthy() {
    let lab = lab().await;
    let port = free_port();
    let program = worker_for(&lab)
        .unruly()
        .env("PORT", port.to_string())
        .env("TOKIO_WORKER_THREADS", "1");
    lab.submit("BLOCK", json!({})).unwrap();
    let mut worker = program.start(&[]);
    worker.logs("nothing runs on the async threads").await;
    let asking = Program::bare().env("PORT", port.to_string());
    let exited = asking.run(&["healthcheck"]).await;
    assert_eq!(exited.code, Some(1));
    let reason = "the async threads are blocked, nothing has run on them";
    assert!(exited.stderr.contains(reason), "{}", exited.stderr);
    worker.kill().await;
}

#[tokio::test]
async fn a_running_worker_is_healthy() {
    let lab = lab().await;
    let (socket, port) = closed_port();
    drop(socket);
    let program = worker_for(&lab).env("PORT", port.to_string());
    let mut worker = program.start(&[]);
    worker.logs("serving health").await;
    let exited = Program::bare()
        .env("PORT", port.to_string())
        .run(&["healthcheck"])
        .await;
    assert_eq!((exited.code, &*exited.stdout), (Some(0), "healthy\n"));
}

#[tokio::test]
async fn without_a_worker_the_check_fails() {
    let (_socket, port) = closed_port();
    let program = Program::bare().env("PORT", port.to_string());
    let exited = program.run(&["healthcheck"]).await;
    assert_eq!(exited.code, Some(1));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn without_a_port_the_configuration_is_wrong() {
    let exited = Program::bare().run(&["healthcheck"]).await;
    assert_eq!(exited.code, Some(78));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn a_worker_whose_port_is_taken_does_not_start() {
    let lab = lab().await;
    let taken = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let program = worker_for(&lab)
        .env("PORT", port.to_string())
        .env("LOG_LEVEL", "error");
    let exited = program.run(&[]).await;
    assert_eq!(exited.code, Some(78));
    assert_shown!(exited.shown());
}
