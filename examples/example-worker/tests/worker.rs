//! Runs the worker as a deployment does: the program itself, against the job API and the S3 server of the lab.

use std::path::Path;
use std::time::Duration;

use reefguide_lab::Lab;
use tokio::process::Command;

/// The payloads are the files in `payloads/`, each named after its job type.
#[tokio::test]
async fn every_sample_payload_succeeds() {
    let lab = Lab::builder().any_job_type().start().await.unwrap();
    let mut jobs = Vec::new();
    for entry in Path::new("payloads").read_dir().unwrap() {
        let file = entry.unwrap().path();
        let job_type = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let payload = reefguide_worker::text::json(&std::fs::read(&file).unwrap()).unwrap();
        jobs.push((lab.submit(&job_type, payload).unwrap(), job_type));
    }

    // It stops after one second without a job.
    let worker = Command::new(env!("CARGO_BIN_EXE_example-worker"))
        .args(["--env-file", "none", "--config", "none"])
        .envs(lab.env())
        .env("IDLE_TIMEOUT_MS", "1000")
        .kill_on_drop(true)
        .status();
    let ended = tokio::time::timeout(Duration::from_secs(120), worker).await;
    assert!(ended.expect("the worker stops").unwrap().success());

    assert!(!jobs.is_empty());
    for (id, job_type) in jobs {
        let job = lab.job(id).unwrap();
        assert_eq!(job["status"], "SUCCEEDED", "{job_type}: {job:#}");
    }
}
