//! Transfers of many files in a process that may have few of them open.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "lab_storage/mod.rs"]
mod lab_storage;

use std::path::Path;
use std::process::Command;

use reefguide_lab::Lab;
use reefguide_storage::{Outputs, Storage, StorageUri, publish};
use rustix::process::{Resource, getrlimit};

/// The S3 server that the process with few files uses.
const ENDPOINT: &str = "REEFGUIDE_TEST_ENDPOINT";
/// The number of files.
const FILES: u64 = 3_000;
/// The depth of one of them.
const DEEP: usize = 100;

/// Files like a job's outputs.
fn outputs(folder: &Path) {
    for file in 1..FILES {
        let below = folder.join(format!("{}", file % 7));
        std::fs::create_dir_all(&below).unwrap();
        std::fs::write(below.join(file.to_string()), file.to_string()).unwrap();
    }
    let deep = folder.join(vec!["d"; DEEP].join("/"));
    std::fs::create_dir_all(&deep).unwrap();
    // Sent in parts, which takes more than one connection.
    std::fs::write(deep.join("large"), vec![7; 17 << 20]).unwrap();
}

/// Uploads and downloads all of them, like jobs in two slots.
async fn there_and_back(storage: &Storage, to: &str) {
    let folder = tempfile::tempdir().unwrap();
    let sent = Outputs::new(folder.path().join("sent"));
    outputs(sent.folder());
    let sent = sent.manifest().await.unwrap();
    let [one, other]: [StorageUri; 2] =
        ["one", "other"].map(|job| format!("{to}/{job}").parse().unwrap());
    let published = tokio::join!(
        publish(&sent, storage, &one),
        publish(&sent, storage, &other)
    );
    assert_eq!(published.0.unwrap().files, FILES);
    assert_eq!(published.1.unwrap().files, FILES);
    let [got, got_too] = ["one", "other"].map(|job| folder.path().join(job));
    let downloaded = tokio::join!(
        storage.download_folder(&one, &got),
        storage.download_folder(&other, &got_too)
    );
    assert_eq!(downloaded.0.unwrap().files, FILES);
    assert_eq!(downloaded.1.unwrap().files, FILES);
    assert_eq!(std::fs::read(got_too.join("3/10")).unwrap(), b"10");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_process_with_few_files() {
    let Some(endpoint) = std::env::var_os(ENDPOINT) else {
        return;
    };
    assert_eq!(getrlimit(Resource::Nofile).current, Some(64));
    let s3 = lab_storage::options_at(endpoint.to_str().unwrap());
    there_and_back(&Storage::s3(s3), "s3://reefguide-dev").await;
    let folder = tempfile::tempdir().unwrap();
    there_and_back(&Storage::folder(folder.path()), "file:///results").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_may_open_64_files_transfers_thousands() {
    let lab = Lab::builder().start().await.unwrap();
    let child = Command::new("sh")
        .args(["-c", "ulimit -n 64 && exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "in_the_process_with_few_files", "--nocapture"])
        .env(ENDPOINT, lab.s3_endpoint())
        .output();
    let child = child.unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}{child:?}");
    assert!(said.contains("1 passed"), "{said}");
    let storage = Storage::s3(lab_storage::options(&lab));
    let other: StorageUri = "s3://reefguide-dev/other".parse().unwrap();
    let stored = storage.list(&other).await.unwrap();
    assert_eq!(stored.len() as u64, FILES);
}
