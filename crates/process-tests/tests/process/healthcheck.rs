//! `healthcheck`: the health of the worker on this machine, for containers without curl.

use reefguide_lab::{Fault, Route};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::program::Program;
use crate::rig::{assert_shown, free_port, lab, nobody, submit_test, worker_for};

/// Whether a worker is ready, and what it says.
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
async fn a_worker_is_ready_from_its_login_until_it_is_to_stop() {
    let lab = lab().await;
    let away = lab.faults().add(Fault::status(Route::Login, 503));
    let port = free_port();
    let program = worker_for(&lab).env("PORT", port.to_string());
    let mut worker = program.start(&[]);
    worker.says("API not ready yet").await;
    let (is_ready, body) = ready(port).await;
    assert!(!is_ready && body.contains("starting: the API"), "{body}");
    lab.faults().remove(away);
    worker.says("claims use a local identity").await;
    let not_delivered = lab.faults().add(Fault::status(Route::Result, 503));
    submit_test(&lab, 1);
    worker.says("outcome not delivered yet").await;
    let (is_ready, body) = ready(port).await;
    assert!(is_ready, "{body}");
    worker.signal("TERM").await;
    worker.says("waiting for running jobs").await;
    let (is_ready, body) = ready(port).await;
    assert!(!is_ready && body.contains("stopping"), "{body}");
    lab.faults().remove(not_delivered);
    assert_eq!(worker.ended().await.code, Some(0));
}

#[tokio::test]
async fn a_worker_whose_threads_a_handler_blocks_says_so() {
    let lab = lab().await;
    let port = free_port();
    let program = worker_for(&lab)
        .unruly()
        .env("PORT", port.to_string())
        .env("TOKIO_WORKER_THREADS", "1");
    lab.submit("BLOCK", json!({})).unwrap();
    let mut worker = program.start(&[]);
    worker.says("nothing runs on the async threads").await;
    let asking = Program::bare().env("PORT", port.to_string());
    let ended = asking.run(&["healthcheck"]).await;
    assert_eq!(ended.code, Some(1));
    let reason = "the async threads are blocked, nothing has run on them";
    assert!(ended.stderr.contains(reason), "{}", ended.stderr);
    worker.kill().await;
}

#[tokio::test]
async fn a_worker_at_work_is_healthy() {
    let lab = lab().await;
    let (socket, port) = nobody();
    drop(socket);
    let program = worker_for(&lab).env("PORT", port.to_string());
    let mut worker = program.start(&[]);
    worker.says("serving health").await;
    let ended = Program::bare()
        .env("PORT", port.to_string())
        .run(&["healthcheck"])
        .await;
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "healthy\n"));
}

#[tokio::test]
async fn without_a_worker_there_is_no_health() {
    let (_socket, port) = nobody();
    let program = Program::bare().env("PORT", port.to_string());
    let ended = program.run(&["healthcheck"]).await;
    assert_eq!(ended.code, Some(1));
    assert_shown!(ended.shown());
}

#[tokio::test]
async fn without_a_port_nobody_can_be_asked() {
    let ended = Program::bare().run(&["healthcheck"]).await;
    assert_eq!(ended.code, Some(78));
    assert_shown!(ended.shown());
}

#[tokio::test]
async fn a_worker_whose_port_is_taken_does_not_start() {
    let lab = lab().await;
    let taken = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let program = worker_for(&lab)
        .env("PORT", port.to_string())
        .env("LOG_LEVEL", "error");
    let ended = program.run(&[]).await;
    assert_eq!(ended.code, Some(78));
    assert_shown!(ended.shown());
}
