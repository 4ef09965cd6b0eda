//! The memory that publishing many files takes, as the kernel counts it.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::HashMap;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, Request};
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use reefguide_storage::{Outputs, S3Credentials, S3Options, Storage, StorageUri, publish};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;

/// The server that the other process publishes to, and the number of files.
const CHILD: &str = "STORAGE_MEMORY_CHILD";
const FEW: u64 = 2_000;
const MANY: u64 = 16_000;
/// The memory that each further file may take, in bytes: enough for its path a few times.
const EACH: u64 = 500;
/// The time limit of a process.
const PATIENCE: Duration = Duration::from_secs(120);

fn name(number: u64) -> String {
    format!("tiles/zoom-12/tile-{number:06}.json")
}

/// A server that accepts everything, and lists as many objects as the number in the prefix.
async fn answer(Query(query): Query<HashMap<String, String>>, request: Request) -> Response {
    let etag = [(header::ETAG, "\"0cc175b9c0f1b6a831c399e269772661\"")];
    match query.get("prefix") {
        Some(prefix) if request.method() == Method::GET => {
            page(prefix, query.get("continuation-token"))
        }
        _ => etag.into_response(),
    }
}

fn page(prefix: &str, token: Option<&String>) -> Response {
    let all: u64 = prefix.trim_end_matches('/').parse().unwrap();
    let begin: u64 = token.map_or(0, |token| token.parse().unwrap());
    let end = all.min(begin + 1000);
    let mut list = format!("<ListBucketResult><IsTruncated>{}</IsTruncated>", end < all);
    if end < all {
        list += &format!("<NextContinuationToken>{end}</NextContinuationToken>");
    }
    for number in begin..end {
        let name = name(number);
        list += &format!(
            "<Contents><Key>{prefix}{name}</Key><Size>1</Size>\
             <ETag>&quot;0cc175b9c0f1b6a831c399e269772661&quot;</ETag></Contents>"
        );
    }
    (list + "</ListBucketResult>").into_response()
}

/// The peak memory of a process that publishes so many `files`, in bytes.
async fn peak(files: u64) -> u64 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let app = Router::new().fallback(answer);
    let serving = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let given = format!("{endpoint} {files}");
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(CHILD, given)
        // With one arena per thread, the result would vary.
        .env("MALLOC_ARENA_MAX", "1")
        .kill_on_drop(true)
        .output();
    let output = timeout(PATIENCE, child).await.unwrap().unwrap();
    serving.abort();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    let line = said.lines().find(|line| line.starts_with("VmHWM:"));
    let kib: Vec<_> = line.unwrap().split_whitespace().collect();
    kib[1].parse::<u64>().unwrap() << 10
}

/// Runs in the other process.
#[tokio::test]
async fn child() {
    let Ok(given) = std::env::var(CHILD) else {
        return;
    };
    let given: Vec<_> = given.split(' ').collect();
    let mut options = S3Options::default();
    options.endpoint = Some(given[0].into());
    options.credentials = Some(S3Credentials {
        access_key: "access".into(),
        secret_key: "secret".into(),
        session_token: None,
    });
    let storage = Storage::s3(options);
    let files = given[1].parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let outputs = Outputs::new(folder.path());
    for number in 0..files {
        std::fs::write(outputs.path(&name(number)).unwrap(), "a").unwrap();
    }
    let outputs = outputs.manifest().await.unwrap();
    let to: StorageUri = format!("s3://reef/{files}").parse().unwrap();
    let published = publish(&outputs, &storage, &to).await.unwrap();
    assert_eq!(published.files, files);
    print!(
        "\n{}",
        std::fs::read_to_string("/proc/self/status").unwrap()
    );
}

#[tokio::test]
async fn many_files_are_published_in_little_more_memory_than_a_few() {
    let (few, many) = (peak(FEW).await, peak(MANY).await);
    assert!(
        many < few + (MANY - FEW) * EACH,
        "{FEW} files take {few} bytes, {MANY} take {many}"
    );
}
