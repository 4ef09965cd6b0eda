//! Errors contain no secrets.

use std::error::Error;
use std::future;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use futures_util::FutureExt;
use futures_util::future::join_all;
use reefguide_storage::{Outputs, Storage, StorageError, publish};
use tokio::net::TcpListener;

use crate::download::content;
use crate::server::{Asked, Server, options, uri};
use crate::tries::failure;

/// The secrets in `options`, and parts of signed requests.
const SECRETS: [&str; 5] = [
    "very-secret",
    "token-secret",
    "authorization",
    "x-amz-signature",
    "signature=",
];

/// Everything that an error can show.
fn all_of(error: &StorageError) -> String {
    let mut all = format!("{error} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(error) = source {
        all += &format!(" {error} {error:?} {error:#?}");
        source = error.source();
    }
    all
}

/// An error that repeats the whole request, including its signature.
fn repeating(asked: &Asked, status: u16, code: &str) -> Response {
    let asked = format!("{} {:?}", asked.head.uri, asked.head.headers);
    let asked = asked.replace('&', "&amp;").replace('<', "&lt;");
    let body = format!(
        "<Error><Code>{code}</Code><Message>{asked}</Message><StringToSign>{asked}</StringToSign></Error>"
    );
    let answer = Response::builder().status(status);
    answer.body(Body::from(body)).unwrap()
}

/// The errors of all calls of `storage`.
async fn errors(storage: &Storage) -> Vec<StorageError> {
    let folder = tempfile::tempdir().unwrap();
    let outputs = Outputs::new(folder.path().join("outputs"));
    outputs.write("a", "a").await.unwrap();
    let outputs = outputs.manifest().await.unwrap();
    let (p, a) = (uri("s3://reef/p"), uri("s3://reef/p/a"));
    let local = folder.path().join("a");
    let large = folder.path().join("large");
    let file = std::fs::File::create(&large).unwrap();
    file.set_len(17 << 20).unwrap();
    let too_long = Duration::from_secs(8 * 24 * 60 * 60);
    let all = [
        failure(storage.upload_bytes("a", &a)).boxed(),
        failure(storage.upload_file(&large, &a)).boxed(),
        failure(storage.download_file(&a, &local)).boxed(),
        failure(storage.download_folder(&p, &local)).boxed(),
        failure(storage.read(&a, 100)).boxed(),
        failure(storage.list(&p)).boxed(),
        failure(storage.info(&a)).boxed(),
        failure(storage.delete(&a)).boxed(),
        failure(storage.probe("reef")).boxed(),
        failure(publish(&outputs, storage, &p)).boxed(),
        failure(storage.presign_get(&a, too_long)).boxed(),
        failure(storage.presign_put(&a, too_long)).boxed(),
    ];
    join_all(all).await
}

fn nothing_secret(errors: &[StorageError]) {
    for error in errors {
        let all = all_of(error);
        assert!(all.contains("reef"), "it names nothing: {all}");
        let lower = all.to_lowercase();
        for secret in SECRETS {
            assert!(!lower.contains(secret), "{secret} is shown: {all}");
        }
    }
}

#[tokio::test]
async fn a_refusal_that_repeats_the_request_is_reported_without_its_secrets() {
    for (status, code) in [
        (400, "SomethingNew"),
        (403, "SignatureDoesNotMatch"),
        (403, "AccessDenied"),
        (404, "NoSuchKey"),
        (412, "PreconditionFailed"),
        (501, "NotImplemented"),
    ] {
        let mut server =
            Server::answering(move |asked| async move { repeating(&asked, status, code) }).await;
        nothing_secret(&errors(&server.storage).await);
        let asked = server.next("PUT").await;
        let signed = asked.header("authorization").unwrap();
        assert!(signed.contains("Signature="), "nothing was signed");
        assert_eq!(asked.header("x-amz-security-token"), Some("token-secret"));
    }
}

#[tokio::test]
async fn trouble_with_the_connection_is_reported_without_secrets() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let refusing = closed.local_addr().unwrap();
    drop(closed);
    let silent = Server::answering(|_| future::pending()).await;
    for endpoint in [
        format!("http://me:very-secret@{refusing}"),
        silent.endpoint.clone(),
        "nowhere".to_owned(),
    ] {
        let mut impatient = options(&endpoint);
        impatient.operation_timeout = Duration::from_secs(2);
        nothing_secret(&errors(&Storage::s3(impatient)).await);
    }
    let breaking = Server::answering(|asked| async move { content(&asked, 1) }).await;
    let a = uri("s3://reef/a");
    nothing_secret(&[failure(breaking.storage.read(&a, 100)).await]);
}
