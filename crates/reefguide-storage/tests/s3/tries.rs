//! The tries that an error reports.

use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reefguide_storage::{Storage, StorageError};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use crate::download::content;
use crate::server::{Server, error, options, uri};

/// The time that an answer takes.
const WAIT: Duration = Duration::from_millis(50);
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The error of `work`, which must fail in time.
pub(crate) async fn failure<T>(
    work: impl Future<Output = Result<T, StorageError>>,
) -> StorageError {
    let outcome = timeout(PATIENCE, work).await;
    let Err(error) = outcome.expect("it goes on without end") else {
        panic!("it did not fail");
    };
    error
}

fn tries(failed: &[StorageError]) -> Vec<u32> {
    let tries = failed.iter().map(|failed| failed.tried().unwrap().tries);
    tries.collect()
}

/// A server that answers each request by the next letter of `script`, and by its last letter
/// after that: `5` is status 503, `c` is content that breaks off.
async fn scripted(script: &'static str) -> Server {
    let asked_before = Arc::new(AtomicUsize::new(0));
    Server::answering(move |asked| {
        let turn = asked_before.fetch_add(1, Ordering::Relaxed);
        async move {
            sleep(WAIT).await;
            match script.as_bytes()[turn.min(script.len() - 1)] {
                b'c' => content(&asked, 1),
                _ => error(503, "SlowDown"),
            }
        }
    })
    .await
}

#[tokio::test]
async fn every_try_and_all_of_the_time_counts() {
    for (script, tries, code) in [
        ("5", 4, Some("SlowDown")),
        ("c", 4, None),
        ("55c", 6, None),
        ("c5c5", 7, Some("SlowDown")),
    ] {
        let mut server = scripted(script).await;
        let since = Instant::now();
        let failed = failure(server.storage.read(&uri("s3://reef/a/b.json"), 100)).await;
        let took = since.elapsed();
        let tried = failed.tried().unwrap();
        assert_eq!(tried.tries, tries, "{script}: {failed}");
        assert_eq!(server.lines().len(), tries as usize, "{script}");
        assert!(tried.elapsed >= WAIT * tries, "{script}: {failed}");
        assert!(tried.elapsed <= took, "{script}: {failed}");
        assert_eq!(tried.code.as_deref(), code, "{script}");
        let text = failed.to_string();
        assert!(text.starts_with("cannot read s3://reef/a/b.json: "));
        assert!(text.contains(&format!("{tried})")), "{text}");
    }
}

#[tokio::test]
async fn the_time_limit_for_all_tries_ends_them() {
    let server = Server::answering(|_| future::pending()).await;
    let all_of_them = Duration::from_millis(1900);
    let mut impatient = options(&server.endpoint);
    impatient.try_timeout = Duration::from_secs(1);
    impatient.operation_timeout = all_of_them;
    let storage = Storage::s3(impatient);
    let failed = failure(storage.info(&uri("s3://reef/a"))).await;
    assert!(matches!(failed, StorageError::Timeout { .. }), "{failed:?}");
    let tried = failed.tried().unwrap();
    assert_eq!(tried.tries, 2, "{failed}");
    assert!(tried.elapsed >= all_of_them, "{failed}");
}

#[tokio::test]
async fn concurrent_requests_are_counted_separately() {
    let server = Server::answering(|asked| async move {
        match asked.head.uri.path().ends_with("/refused") {
            true => error(403, "AccessDenied"),
            false => error(503, "SlowDown"),
        }
    })
    .await;
    let places = ["s3://reef/refused", "s3://reef/busy"].map(uri);
    let asked = places.iter().cycle().take(8);
    let failed = join_all(asked.map(|uri| failure(server.storage.info(uri)))).await;
    assert_eq!(tries(&failed), [1, 4, 1, 4, 1, 4, 1, 4]);
}

#[tokio::test]
async fn many_requests_that_fail_at_once_are_each_tried_as_often_as_a_single_one() {
    let server = Server::answering(|_| async { error(503, "SlowDown") }).await;
    let a = uri("s3://reef/a");
    let many = join_all((0..200).map(|_| failure(server.storage.info(&a)))).await;
    assert_eq!(tries(&many), [4; 200]);
}

#[tokio::test]
async fn a_server_that_hangs_up_without_an_answer_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let hanging_up = tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            // Read the whole request, so that the connection closes without a reset.
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(connection.read_u8().await.unwrap());
            }
        }
    });
    let storage = Storage::s3(options(&endpoint));
    let failed = failure(storage.info(&uri("s3://reef/a"))).await;
    hanging_up.abort();
    assert!(
        matches!(failed, StorageError::Unreachable { .. }),
        "{failed:?}"
    );
    assert!(failed.is_retryable());
    assert_eq!(failed.tried().unwrap().tries, 4);
}
