//! `healthcheck`: the health of the worker on this machine, for containers without curl.

use tokio::net::TcpListener;

use crate::program::Program;
use crate::rig::{assert_shown, lab, nobody, worker_for};

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
