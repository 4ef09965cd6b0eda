//! Requests after the first one to a bucket, which bypass most of the SDK, without a visible difference.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use axum::http::HeaderName;
use axum::response::Response;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use reefguide_storage::{Encryption, S3Options, Storage, StorageError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::server::{Asked, Server, error, ok, options, stored, uri};
use crate::tries::failure;

/// Whether a request has bypassed most of the SDK.
fn is_direct(asked: &Asked) -> bool {
    let agent = asked.header("user-agent").unwrap();
    agent == concat!("reefguide-worker/", env!("CARGO_PKG_VERSION"))
}

/// A request, without the parts that differ each time and the SDK's own headers.
fn said(asked: &Asked) -> BTreeMap<String, String> {
    let names = asked.head.headers.keys().map(HeaderName::as_str);
    let names = names.filter(|name| {
        !name.starts_with("amz-sdk-") && !name.ends_with("user-agent") && *name != "x-amz-date"
    });
    let said = |name: &str| {
        let value = asked.header(name).unwrap();
        // The credential and scope of a signature, and the headers that it must cover.
        let value = match name {
            "authorization" => {
                let (credential, signed) = value.split_once(", SignedHeaders=").unwrap();
                let signed: Vec<_> = signed.split([';', ',']).collect();
                for header in ["host", "x-amz-content-sha256", "x-amz-date"] {
                    assert!(signed.contains(&header), "{header} is not signed: {value}");
                }
                credential
            }
            _ => value,
        };
        (name.to_owned(), value.to_owned())
    };
    let line = ("line".to_owned(), asked.head.uri.to_string());
    names.map(said).chain([line]).collect()
}

#[tokio::test]
async fn a_later_request_is_the_same_as_the_first() {
    let object = uri("s3://reef/p/x%20ä+b//c.json");
    let mut server = Server::answering(|asked| async move {
        match asked.head.method.as_str() {
            "PUT" => stored(),
            _ => ok("{}"),
        }
    })
    .await
    .with(|options| {
        options.encryption = Some(Encryption::Kms {
            key: Some("reef-key".to_owned()),
        });
    });
    let storage = server
        .storage
        .with_metadata([("job-id", "7 of 9")])
        .unwrap();
    for _ in 0..2 {
        storage.upload_bytes("{}", &object).await.unwrap();
        storage.read(&object, 9).await.unwrap();
    }
    let mut asked = Vec::new();
    while let Ok(one) = server.asked.try_recv() {
        asked.push(one);
    }
    let [put, get, later_put, later_get] = &asked[..] else {
        panic!("{} requests", asked.len());
    };
    for (first, later) in [(put, later_put), (get, later_get)] {
        assert!(!is_direct(first) && is_direct(later));
        assert_eq!(said(first), said(later));
        assert_eq!(first.body, later.body);
    }
}

/// A server that accepts one object, and answers every later request with `answer`.
async fn after_one<F>(answer: impl Fn(Asked) -> F + Clone + Send + Sync + 'static) -> Server
where
    F: Future<Output = Response> + Send,
{
    let took = Arc::new(AtomicBool::new(false));
    Server::answering(move |asked| {
        let (took, answer) = (Arc::clone(&took), answer.clone());
        async move {
            match took.swap(true, Relaxed) {
                false => stored(),
                true => answer(asked).await,
            }
        }
    })
    .await
}

async fn store(storage: &Storage) -> Result<(), StorageError> {
    storage.upload_bytes("", &uri("s3://reef/a")).await?;
    Ok(())
}

/// The error's text without the tries.
fn text(error: &StorageError) -> String {
    let tried = error.tried().unwrap();
    error.to_string().replace(&tried.to_string(), "")
}

#[tokio::test]
async fn a_refusal_is_reported_like_one_of_a_first_request() {
    for (status, code, tries) in [
        (404, "NoSuchBucket", 1),
        (412, "PreconditionFailed", 1),
        (400, "BadDigest", 1),
        // The SDK handles these.
        (403, "AccessDenied", 2),
        (403, "SignatureDoesNotMatch", 2),
        (400, "ExpiredToken", 2),
        (301, "PermanentRedirect", 2),
        (400, "SomethingNew", 2),
        (503, "SlowDown", 4),
        (500, "InternalError", 4),
    ] {
        let mut server = after_one(move |_| async move { error(status, code) }).await;
        store(&server.storage).await.unwrap();
        assert_eq!(server.lines(), ["PUT /reef/a"]);
        let refused = failure(store(&server.storage)).await;
        assert_eq!(server.lines(), vec!["PUT /reef/a"; tries], "{code}");
        assert_eq!(refused.tried().unwrap().tries as usize, tries, "{code}");

        let first = Storage::s3(options(&server.endpoint));
        let first = failure(store(&first)).await;
        assert_eq!(text(&refused), text(&first));
        assert_eq!(refused.is_retryable(), first.is_retryable(), "{code}");
    }
}

#[tokio::test]
async fn the_time_limit_for_all_tries_ends_them() {
    let all_of_them = Duration::from_millis(1900);
    let impatient = |options: &mut S3Options| {
        options.try_timeout = Duration::from_secs(1);
        options.operation_timeout = all_of_them;
    };
    let server = after_one(|_| pending()).await.with(impatient);
    store(&server.storage).await.unwrap();
    let failed = failure(store(&server.storage)).await;
    assert!(matches!(failed, StorageError::Timeout { .. }), "{failed:?}");
    let tried = failed.tried().unwrap();
    assert_eq!(tried.tries, 2, "{failed}");
    assert!(tried.elapsed >= all_of_them, "{failed}");
}

#[tokio::test]
async fn a_server_that_hangs_up_without_an_answer_is_tried_as_often_as_by_a_first_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let hanging_up = tokio::spawn(async move {
        let mut requests = 0;
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(connection.read_u8().await.unwrap());
            }
            requests += 1;
            if requests == 1 {
                let answer = b"HTTP/1.1 200 OK\r\netag: \"a\"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                connection.write_all(answer).await.unwrap();
            }
        }
    });
    let storage = Storage::s3(options(&endpoint));
    store(&storage).await.unwrap();
    let failed = failure(store(&storage)).await;
    hanging_up.abort();
    assert!(
        matches!(failed, StorageError::Unreachable { .. }),
        "{failed:?}"
    );
    assert_eq!(failed.tried().unwrap().tries, 4, "{failed}");
}

#[tokio::test]
async fn the_sdk_handles_a_wrong_clock() {
    // Signed for an hour ago, the request is accepted.
    let mut server = after_one(|asked| async move {
        let hour_ago = Timestamp::now() - SignedDuration::from_hours(1);
        let signed = asked.header("x-amz-date").unwrap().trim_end_matches('Z');
        let signed: DateTime = signed.parse().unwrap();
        let signed = signed.to_zoned(TimeZone::UTC).unwrap().timestamp();
        if signed.duration_since(hour_ago).abs() < SignedDuration::from_mins(9) {
            return stored();
        }
        let mut refused = error(403, "RequestTimeTooSkewed");
        let date = hour_ago.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        refused.headers_mut().insert("date", date.parse().unwrap());
        refused
    })
    .await;
    for _ in 0..2 {
        store(&server.storage).await.unwrap();
    }
    assert_eq!(server.lines(), ["PUT /reef/a"; 4]);
}

#[tokio::test]
async fn one_buckets_route_is_not_used_for_another() {
    let mut server = Server::answering(|_| async { stored() }).await;
    for bucket in ["one", "two", "one", "two"] {
        let to = uri(&format!("s3://{bucket}/a"));
        server.storage.upload_bytes("", &to).await.unwrap();
    }
    for (bucket, direct) in [("one", false), ("two", false), ("one", true), ("two", true)] {
        let asked = server.next("PUT").await;
        assert_eq!(asked.line(), format!("PUT /{bucket}/a"));
        assert_eq!(is_direct(&asked), direct);
    }
}
