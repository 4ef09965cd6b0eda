//! Inputs that handlers fetch, with and without a cache.

use std::path::{Path, PathBuf};

use reefguide_lab::{Lab, Route};
use reefguide_worker::storage::{Storage, StorageUri};
use serde_json::{Value, json};

use crate::fixture::{final_status, lab, worker_for};
use crate::lab_storage;
use crate::program::{Program, in_time};

async fn soundings(lab: &Lab) -> StorageUri {
    let uri = format!("s3://{}/soundings.csv", lab.bucket());
    let uri = uri.parse().unwrap();
    let storage = Storage::s3(lab_storage::options(lab));
    let stored = in_time(storage.upload_bytes("heron,-4\n", &uri)).await;
    stored.unwrap().uri
}

fn downloads(lab: &Lab) -> usize {
    let requests = lab.requests().into_iter();
    requests
        .filter(|asked| asked.route == Route::S3Get && asked.path.contains("soundings"))
        .count()
}

/// Where two jobs, one after another, found an input.
async fn fetched_twice(lab: &Lab, program: &Program, job_type: &str) -> [PathBuf; 2] {
    let source = soundings(lab).await;
    let worker = program.start(&[]);
    let mut paths = [(); 2].map(|()| PathBuf::new());
    for (number, path) in paths.iter_mut().enumerate() {
        let does = json!({ "fetch": { "source": source, "number": number } });
        let job = lab.submit(job_type, does).unwrap();
        assert_eq!(final_status(lab, job).await, "SUCCEEDED");
        let result = lab.job(job).unwrap()["assignments"][0]["result"]["result_payload"].take();
        assert_eq!(result["bytes"], 9);
        *path = result["path"].as_str().unwrap().into();
    }
    assert_eq!(worker.stop().await.code, Some(0));
    paths
}

#[tokio::test]
async fn without_a_cache_an_input_is_downloaded_for_each_attempt_and_removed_after_it() {
    let lab = lab().await;
    let program = worker_for(&lab).unruly();
    let [first, second] = fetched_twice(&lab, &program, "PLAIN").await;
    assert_ne!(first, second);
    assert!(!first.exists() && !second.exists());
    assert_eq!(downloads(&lab), 2);
}

#[tokio::test]
async fn with_a_cache_an_input_is_downloaded_once() {
    let lab = lab().await;
    let program = worker_for(&lab).unruly().env("CACHE_PATH", "cache");
    let [first, second] = fetched_twice(&lab, &program, "PLAIN").await;
    assert_eq!(first, second);
    assert_eq!(first.parent(), Some(&*program.path("cache/inputs")));
    assert_eq!(downloads(&lab), 1);
}

#[tokio::test]
async fn an_isolated_handler_uses_the_same_cache() {
    let lab = lab().await;
    let program = worker_for(&lab).unruly().env("CACHE_PATH", "cache");
    let [first, second] = fetched_twice(&lab, &program, "CRASH").await;
    assert_eq!(first, second);
    let [in_the_worker, _] = fetched_twice(&lab, &program, "PLAIN").await;
    assert_eq!(in_the_worker, first);
    assert_eq!(downloads(&lab), 1);
}

#[tokio::test]
async fn handle_uses_the_cache_of_the_worker() {
    let lab = lab().await;
    let does = json!({ "source": soundings(&lab).await, "number": 1 });
    let payload = json!({ "fetch": does }).to_string();
    let program = worker_for(&lab)
        .unruly()
        .env("CACHE_PATH", "cache")
        .file("payload.json", &payload);
    for job_type in ["PLAIN", "CRASH", "PLAIN"] {
        let line = format!("handle {job_type} --input payload.json --output-dir out");
        let exited = program.run_line(&line).await;
        assert_eq!(exited.code, Some(0), "{}", exited.stderr);
        let result: Value = serde_json::from_str(&exited.stdout).unwrap();
        let path = Path::new(result["path"].as_str().unwrap());
        assert_eq!(path.parent(), Some(&*program.path("cache/inputs")));
    }
    assert_eq!(downloads(&lab), 1);
}
