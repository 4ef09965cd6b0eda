//! Between a worker and its servers: missing certificates, and proxies.

use reefguide_lab::{Fault, Lab, Route};
use serde_json::json;

use crate::fixture::{assert_shown, closed_port, lab, status, submit_test, worker_for};
use crate::program::{Exited, Program};

const REMEDY: &str =
    "install the package `ca-certificates`, or name a file of certificates in SSL_CERT_FILE";

/// As in an image without certificates.
fn without_certificates(program: Program) -> Program {
    program
        .env("SSL_CERT_FILE", "/nowhere/ca.pem")
        .env("SSL_CERT_DIR", "/nowhere")
        .env("STARTUP_TIMEOUT_MS", "0")
        .env("LOG_FORMAT", "human")
}

/// With a proxy that refuses connections.
fn behind_a_dead_proxy(program: Program, port: u16) -> Program {
    program
        .env(
            "HTTP_PROXY",
            format!("http://me:proxy-secret@127.0.0.1:{port}"),
        )
        .env("STARTUP_TIMEOUT_MS", "0")
        .env("LOG_FORMAT", "human")
}

fn everything(exited: &Exited) -> String {
    format!("{}{}", exited.stdout, exited.stderr)
}

async fn does_a_job(lab: &Lab, program: Program) {
    let job = submit_test(lab, 1);
    let exited = program.run(&["run", "--drain"]).await;
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    assert_eq!(status(lab, job), "SUCCEEDED", "{}", exited.stderr);
}

#[tokio::test]
async fn missing_certificates_are_a_wrong_configuration_with_a_remedy() {
    let lab = lab().await;
    for address in ["API_ENDPOINT", "S3_ENDPOINT"] {
        for command in ["run", "check"] {
            let (_socket, port) = closed_port();
            let program = without_certificates(worker_for(&lab));
            let program = program.env(address, format!("https://127.0.0.1:{port}"));
            let exited = program.run(&[command]).await;
            let said = everything(&exited);
            assert_eq!(exited.code, Some(78), "{command}: {said}");
            assert!(said.contains(REMEDY), "{command}: {said}");
            assert!(!said.contains("panicked"), "{command}: {said}");
        }
    }
}

#[tokio::test]
async fn no_certificates_are_needed_for_plain_http() {
    let lab = lab().await;
    does_a_job(&lab, without_certificates(worker_for(&lab))).await;
    let exited = without_certificates(worker_for(&lab)).run(&["check"]).await;
    assert_eq!(exited.code, Some(0), "{}", exited.stdout);
}

#[tokio::test]
async fn a_handler_without_storage_needs_neither_certificates_nor_credentials() {
    let program = without_certificates(Program::bare())
        .env("API_ENDPOINT", "https://api.example")
        .env("WORKER_USERNAME", "worker@email.com")
        .env("WORKER_PASSWORD", "password")
        .env("JOB_TYPES", "TEST")
        .env("LOG_LEVEL", "error");
    let args = ["handle", "TEST", "--input", "-", "--output-dir", "out"];
    let exited = program.start_with_input(&args, r#"{ "id": 7 }"#).exited();
    assert_shown!(exited.await.shown(), @r"
    exit 0
    --- stdout
    {}
    ");
}

#[tokio::test]
async fn a_handler_that_reads_from_s3_is_told_that_certificates_are_missing() {
    let program = without_certificates(Program::bare())
        .env("AWS_ACCESS_KEY_ID", "access")
        .env("AWS_SECRET_ACCESS_KEY", "secret");
    let args = ["handle", "COPY", "--input", "-", "--output-dir", "out"];
    let payload = r#"{ "source": "s3://reef/a" }"#;
    let exited = program.start_with_input(&args, payload).exited().await;
    assert_eq!(exited.code, Some(1));
    assert!(exited.stderr.contains(REMEDY), "{}", exited.stderr);
    assert!(!exited.stderr.contains("panicked"), "{}", exited.stderr);
}

#[tokio::test]
async fn a_proxy_that_refuses_connections_is_named_instead_of_the_api_or_s3() {
    let lab = lab().await;
    let (_socket, port) = closed_port();
    let proxy = format!("through the proxy http://127.0.0.1:{port} (HTTP_PROXY)");
    // Only one of the two servers is reached through it.
    let api = lab.api_endpoint().replace("127.0.0.1", "localhost");
    for reached in ["localhost", "127.0.0.1"] {
        let program = behind_a_dead_proxy(worker_for(&lab), port)
            .env("API_ENDPOINT", &*api)
            .env("NO_PROXY", reached);
        for command in ["run", "check"] {
            let exited = program.run(&[command]).await;
            let said = everything(&exited);
            assert_eq!(exited.code, Some(69), "{command}: {said}");
            assert!(said.contains(&proxy), "{command}: {said}");
            assert!(!said.contains("proxy-secret"), "{command}: {said}");
        }
    }
}

#[tokio::test]
async fn no_proxy_applies_to_addresses_as_a_star_and_as_a_network() {
    let lab = lab().await;
    let (_socket, port) = closed_port();
    for hosts in ["*", "example.org, *", "10.0.0.0/8,127.0.0.0/8"] {
        let program = behind_a_dead_proxy(worker_for(&lab), port).env("NO_PROXY", hosts);
        does_a_job(&lab, program).await;
    }
}

#[tokio::test]
async fn a_page_in_place_of_s3_passes_or_is_a_wrong_configuration() {
    let lab = lab().await;
    lab.faults().add(Fault::page(Route::S3List, 404).times(5));
    let program = worker_for(&lab).env("STARTUP_TIMEOUT_MS", "60000");
    does_a_job(&lab, program).await;
    let source = format!("s3://{}/inputs/none", lab.bucket());
    lab.faults().add(Fault::page(Route::S3Get, 200));
    let job = lab.submit("COPY", json!({ "source": source })).unwrap();
    let exited = worker_for(&lab)
        .env("JOB_TYPES", "COPY")
        .run(&["run", "--drain"])
        .await;
    assert_eq!(status(&lab, job), "FAILED");
    assert!(
        exited.stderr.contains("does not answer as S3 does"),
        "{}",
        exited.stderr
    );
}
