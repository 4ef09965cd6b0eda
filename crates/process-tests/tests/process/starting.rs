//! A worker checks its configuration, API and storage before it claims a job.

use std::time::Duration;

use reefguide_lab::{Fault, Lab, Route};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::fixture::{
    assert_shown, closed_port, final_status, lab, status, submit_test, worker_for,
};
use crate::program::{Exited, Program};

/// Runs a worker that must end before it claims the waiting job. It tries nothing twice.
async fn refused(lab: &Lab, program: Program) -> Exited {
    let job = submit_test(lab, 1);
    let program = program
        .env("STARTUP_TIMEOUT_MS", "0")
        .env("LOG_FORMAT", "human");
    let exited = program.run(&[]).await;
    assert_eq!(status(lab, job), "PENDING");
    exited
}

#[tokio::test]
async fn a_wrong_password_is_refused_after_one_login() {
    let lab = lab().await;
    let program = worker_for(&lab).secret("WORKER_PASSWORD", "correct horse");
    let exited = refused(&lab, program).await;
    assert_eq!(exited.code, Some(77));
    assert_shown!(exited.shown());
    let requests = lab.requests();
    assert!(
        matches!(&requests[..], [login] if login.route == Route::Login),
        "{requests:?}"
    );
}

#[tokio::test]
async fn an_account_without_the_role_is_refused() {
    let lab = lab().await;
    let program = worker_for(&lab).env("WORKER_USERNAME", "default@email.com");
    let exited = refused(&lab, program).await;
    assert_eq!(exited.code, Some(77));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn an_api_that_refuses_connections_is_unreachable() {
    let lab = lab().await;
    let (_socket, port) = closed_port();
    let program = worker_for(&lab).env("API_ENDPOINT", format!("http://127.0.0.1:{port}"));
    let exited = refused(&lab, program).await;
    assert_eq!(exited.code, Some(69));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn an_api_that_answers_with_errors_is_unreachable() {
    let lab = lab().await;
    lab.faults().add(Fault::status(Route::AnyApi, 503));
    let exited = refused(&lab, worker_for(&lab)).await;
    assert_eq!(exited.code, Some(69));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn an_address_without_an_api_is_a_wrong_configuration() {
    let lab = lab().await;
    // The lab answers an unknown route as web servers do: 404, with a page of HTML.
    let program = worker_for(&lab).env("API_ENDPOINT", format!("{}/app", lab.api_endpoint()));
    let exited = refused(&lab, program).await;
    assert_eq!(exited.code, Some(78));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn a_web_page_in_place_of_the_api_is_a_wrong_configuration() {
    let lab = lab().await;
    let program = worker_for(&lab).env("API_ENDPOINT", web_page().await);
    let exited = refused(&lab, program).await;
    assert_eq!(exited.code, Some(78));
    assert_shown!(exited.shown());
}

/// The address of a server that answers every request with a page, as a web application does.
async fn web_page() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let _ = client.read(&mut [0; 4096]).await;
            let page = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 15\r\n\r\n<!doctype html>";
            let _ = client.write_all(page.as_bytes()).await;
            let _ = client.read(&mut [0; 4096]).await;
        }
    });
    address
}

#[tokio::test]
async fn job_types_unknown_to_the_api_are_a_wrong_configuration() {
    let lab = Lab::builder().start().await.unwrap();
    let program = worker_for(&lab)
        .env("JOB_TYPES", "COPY")
        .env("IDLE_TIMEOUT_MS", "300")
        .env("LOG_LEVEL", "error");
    let exited = refused(&lab, program).await;
    assert_eq!(exited.code, Some(78));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn a_scratch_folder_that_cannot_be_written_is_a_wrong_configuration() {
    let lab = lab().await;
    let program = worker_for(&lab)
        .file("scratch", "this is not a folder")
        .env("DATA_SCRATCH_SPACE", "scratch");
    let exited = refused(&lab, program).await;
    assert_eq!(exited.code, Some(78));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn a_cache_that_cannot_be_written_is_a_wrong_configuration() {
    let lab = lab().await;
    let program = worker_for(&lab)
        .file("cache", "this is not a folder")
        .env("CACHE_PATH", "cache");
    let exited = refused(&lab, program).await;
    assert_eq!(exited.code, Some(78));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn an_s3_server_that_refuses_connections_is_unreachable() {
    let lab = lab().await;
    let (_socket, port) = closed_port();
    let program = worker_for(&lab).env("S3_ENDPOINT", format!("http://127.0.0.1:{port}"));
    let exited = refused(&lab, program).await;
    assert_eq!(exited.code, Some(69));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn an_address_without_an_s3_server_is_a_wrong_configuration() {
    let lab = lab().await;
    let program = worker_for(&lab).env("S3_ENDPOINT", lab.api_endpoint());
    let exited = refused(&lab, program).await;
    assert_eq!(exited.code, Some(78));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn a_bucket_that_does_not_exist_is_a_wrong_configuration() {
    let lab = lab().await;
    let program = worker_for(&lab).env("S3_BUCKET_NAME", "reefguide-prod");
    let exited = refused(&lab, program).await;
    assert_eq!(exited.code, Some(78));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn a_wrong_secret_key_is_refused() {
    let lab = lab().await;
    let program = worker_for(&lab).secret("MINIO_PASSWORD", "correct horse");
    let exited = refused(&lab, program).await;
    assert_eq!(exited.code, Some(77));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn an_access_key_that_does_not_exist_is_refused() {
    let lab = lab().await;
    let program = worker_for(&lab).env("MINIO_USERNAME", "nobody");
    let exited = refused(&lab, program).await;
    assert_eq!(exited.code, Some(77));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn a_worker_waits_for_an_api_and_a_bucket_that_come_up_later() {
    let lab = lab().await;
    lab.faults().add(Fault::status(Route::Login, 503).times(1));
    // The first four are the tries of one request.
    lab.faults().add(Fault::status(Route::S3List, 503).times(5));
    let job = submit_test(&lab, 1);
    let program = worker_for(&lab);
    let mut worker = program.start(&[]);
    assert_eq!(final_status(&lab, job).await, "SUCCEEDED");
    worker.logs("API not ready yet").await;
    worker.logs("bucket not ready yet").await;
}

#[tokio::test]
async fn a_login_limit_is_waited_out() {
    let lab = lab().await;
    let limit = Fault::too_many_requests(Route::Login, Duration::from_secs(1));
    lab.faults().add(limit.times(1));
    let job = submit_test(&lab, 1);
    let program = worker_for(&lab).env("STARTUP_TIMEOUT_MS", "0");
    let mut worker = program.start(&[]);
    assert_eq!(final_status(&lab, job).await, "SUCCEEDED");
    worker.logs("too many attempts").await;
}

#[tokio::test]
async fn a_bucket_that_may_be_written_but_not_listed_is_enough() {
    let lab = lab().await;
    lab.faults().add(Fault::status(Route::S3List, 403));
    let job = submit_test(&lab, 1);
    let program = worker_for(&lab);
    let mut worker = program.start(&[]);
    assert_eq!(final_status(&lab, job).await, "SUCCEEDED");
    worker.logs("bucket cannot be listed").await;
}

#[tokio::test]
async fn a_redirect_names_the_address_to_configure() {
    let lab = lab().await;
    let to = "https://reefguide.example/api/auth/login";
    lab.faults().add(Fault::redirect(Route::Login, 308, to));
    let exited = refused(&lab, worker_for(&lab)).await;
    assert_eq!(exited.code, Some(78));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn a_worker_waits_until_a_page_and_a_redirect_go_away() {
    let lab = lab().await;
    lab.faults().add(Fault::page(Route::Login, 200).times(1));
    let to = "https://login.example/sign-in";
    lab.faults()
        .add(Fault::redirect(Route::Login, 302, to).times(1));
    let job = submit_test(&lab, 1);
    let program = worker_for(&lab);
    let mut worker = program.start(&[]);
    worker.logs("a web page").await;
    worker
        .logs("redirected to https://login.example/sign-in")
        .await;
    assert_eq!(final_status(&lab, job).await, "SUCCEEDED");
}
