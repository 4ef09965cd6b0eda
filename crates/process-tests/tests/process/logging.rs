//! What a run leaves in the log.

use reefguide_lab::{Fault, Route};
use serde_json::{Value, json};

use crate::rig::{assert_shown, ended, lab, status, submit_test, worker_for};

/// The JSON lines of a run, with what differs from run to run taken out.
fn told(log: &[Value]) -> String {
    let lines = log.iter().map(|line| {
        let mut line = line.clone();
        for (field, value) in line.as_object_mut().unwrap() {
            if matches!(
                field.as_str(),
                "timestamp" | "seconds" | "lease_s" | "version"
            ) {
                *value = format!("[{field}]").into();
            }
        }
        format!("{line}\n")
    });
    lines.collect()
}

#[tokio::test]
async fn a_run_is_told_from_start_to_stop_and_every_line_of_a_job_says_which() {
    let lab = lab().await;
    let job = submit_test(&lab, 7);
    let program = worker_for(&lab)
        .env("IDLE_TIMEOUT_MS", "300")
        .env("JOB_TYPES", "TEST");
    let ended = program.run(&[]).await;
    assert_eq!(ended.code, Some(0));
    assert_eq!(status(&lab, job), "SUCCEEDED");

    let log = ended.log();
    let at = |message| log.iter().position(|line| line["message"] == message);
    let (claimed, succeeded) = (at("job claimed").unwrap(), at("job succeeded").unwrap());
    for line in &log[claimed..=succeeded] {
        for field in ["job_id", "job_type", "assignment_id"] {
            assert!(line[field].is_string(), "no {field}: {line}");
        }
    }
    assert_shown!(told(&log));
}

#[tokio::test]
async fn a_job_that_fails_says_why() {
    let lab = lab().await;
    let source = format!("s3://{}/none.csv", lab.bucket());
    let job = lab.submit("COPY", json!({ "source": source })).unwrap();
    let program = worker_for(&lab);
    let worker = program.start(&[]);
    assert_eq!(ended(&lab, job).await, "FAILED");
    worker.signal("TERM").await;
    let ended = worker.ended().await;
    let log = ended.log();
    let failed = log.iter().find(|line| line["message"] == "job failed");
    assert_shown!(failed.unwrap()["reason"].as_str().unwrap(), @"cannot read s3://reefguide-dev/none.csv: there is no such object (NoSuchKey, 1 attempt in [time])");
}

#[tokio::test]
async fn no_secret_is_logged_however_much_is_logged() {
    let lab = lab().await;
    lab.faults().add(Fault::expire_tokens(Route::Poll).times(1));
    let job = submit_test(&lab, 7);
    let program = worker_for(&lab)
        .unset("S3_BUCKET_NAME")
        .unset("MINIO_USERNAME")
        .unset("MINIO_PASSWORD")
        .env("AWS_ACCESS_KEY_ID", "minioadmin")
        .secret("AWS_SECRET_ACCESS_KEY", "correct horse")
        .secret("AWS_SESSION_TOKEN", "battery-staple")
        .secret("SENTRY_DSN", "https://tr0ub4dor@sentry.example/1")
        .env("RUST_LOG", "trace");
    let worker = program.start(&[]);
    assert_eq!(ended(&lab, job).await, "FAILED");
    worker.signal("TERM").await;
    let log = worker.ended().await.stderr;
    assert!(log.contains(r#""level":"TRACE""#));
    assert!(
        log.contains("SignatureDoesNotMatch"),
        "no request was signed"
    );
    let refreshed = lab
        .requests()
        .iter()
        .any(|request| request.route == Route::Token);
    assert!(refreshed, "no token was refreshed");
    // Access tokens and refresh tokens are both base64 of JSON, which begins with a brace and a quote.
    for secret in ["eyJ", "password"] {
        assert!(!log.contains(secret), "{secret} is logged");
    }
}

#[tokio::test]
async fn a_password_that_is_refused_is_not_logged() {
    let lab = lab().await;
    let program = worker_for(&lab)
        .secret("WORKER_PASSWORD", "correct horse")
        .env("RUST_LOG", "trace");
    assert_eq!(program.run(&[]).await.code, Some(77));
}
