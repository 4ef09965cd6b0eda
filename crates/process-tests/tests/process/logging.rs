//! What a run writes to the log.

use reefguide_lab::{Fault, Lab, Route};
use reefguide_worker::storage::Storage;
use serde_json::{Value, json};

use crate::fixture::{assert_shown, final_status, lab, run_jobs, status, submit_test, worker_for};
use crate::lab_storage;
use crate::program::in_time;

/// The JSON lines of a run, with placeholders for what differs between runs, and without the limits of the machine.
fn comparable(log: &[Value]) -> String {
    let lines = log.iter().filter(|line| line["message"] != "limits");
    let lines = lines.map(|line| {
        let mut line = line.clone();
        for (field, value) in line.as_object_mut().unwrap() {
            if matches!(field.as_str(), "timestamp" | "seconds" | "version")
                || field.ends_with("_s")
            {
                *value = format!("[{field}]").into();
            }
        }
        format!("{line}\n")
    });
    lines.collect()
}

#[tokio::test]
async fn a_run_is_logged_from_start_to_stop_and_every_line_of_a_job_has_its_id() {
    let lab = lab().await;
    let job = submit_test(&lab, 7);
    let program = worker_for(&lab)
        .env("IDLE_TIMEOUT_MS", "300")
        .env("JOB_TYPES", "TEST");
    let exited = program.run(&[]).await;
    assert_eq!(exited.code, Some(0));
    assert_eq!(status(&lab, job), "SUCCEEDED");

    let log = exited.log();
    let at = |message| log.iter().position(|line| line["message"] == message);
    let (claimed, succeeded) = (at("job claimed").unwrap(), at("job succeeded").unwrap());
    for line in &log[claimed..=succeeded] {
        for field in ["job_id", "job_type", "assignment_id"] {
            assert!(line[field].is_string(), "no {field}: {line}");
        }
    }
    assert_shown!(comparable(&log));
}

#[tokio::test]
async fn a_failed_job_is_logged_with_its_reason() {
    let lab = lab().await;
    let source = format!("s3://{}/none.csv", lab.bucket());
    let job = lab.submit("COPY", json!({ "source": source })).unwrap();
    let program = worker_for(&lab);
    let exited = run_jobs(&lab, &program, &[job]).await;
    assert_eq!(status(&lab, job), "FAILED");
    let log = exited.log();
    let failed = log.iter().find(|line| line["message"] == "job failed");
    assert_shown!(failed.unwrap()["reason"].as_str().unwrap(), @"cannot read s3://reefguide-dev/none.csv: there is no such object (NoSuchKey, 1 try in [time])");
}

#[tokio::test]
async fn no_secret_is_logged_even_at_level_trace() {
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
    let log = run_jobs(&lab, &program, &[job]).await.stderr;
    assert_eq!(status(&lab, job), "FAILED");
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
    // Access tokens and refresh tokens are base64 of JSON, which begins with a brace and a quote.
    for secret in ["eyJ", "password"] {
        assert!(!log.contains(secret), "{secret} is logged");
    }
}

/// What no log line may contain: tokens, which are base64 of JSON and so begin with these letters, the password, and
/// signatures in headers and URLs.
const SECRETS: &[&str] = &["eyJ", "password", "Bearer ", "Signature=", "signature="];

#[tokio::test]
async fn no_secret_of_a_run_without_errors_is_logged_or_stored_with_the_job_logs() {
    let lab = lab().await;
    lab.faults().add(Fault::expire_tokens(Route::Poll).times(1));
    let object = format!("s3://{}/soundings.csv", lab.bucket());
    // One in the worker's process, and one that is isolated.
    let jobs = ["PLAIN", "CRASH"].map(|job_type| {
        let jobs = [
            json!({ "share": object }),
            json!({ "well": { "number": 1.0 } }),
        ];
        jobs.map(|does| lab.submit(job_type, does).unwrap())
    });
    let program = worker_for(&lab)
        .unruly()
        .env("JOB_LOGS", format!("s3://{}/job-logs", lab.bucket()))
        .env("RUST_LOG", "trace");
    let worker = program.start(&[]);
    for job in jobs.iter().flatten() {
        assert_eq!(final_status(&lab, *job).await, "SUCCEEDED");
    }
    let mut logs = vec![worker.stop().await.stderr];
    for job in jobs.iter().flatten() {
        logs.push(job_log(&lab, *job).await);
    }
    for log in &logs {
        assert!(log.contains(r#""level":"TRACE""#), "{log}");
        for secret in SECRETS {
            let line = log.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret} is logged");
        }
    }
    let shared = logs.iter().filter(|log| log.contains("shared")).count();
    assert_eq!(shared, 3);
}

#[tokio::test]
async fn errors_have_their_job_id_even_if_only_errors_are_logged() {
    let lab = lab().await;
    let job = submit_test(&lab, 13);
    let program = worker_for(&lab).env("LOG_LEVEL", "error");
    let log = run_jobs(&lab, &program, &[job]).await.log();
    assert_eq!(status(&lab, job), "FAILED");
    let messages: Vec<_> = log.iter().map(|line| &line["message"]).collect();
    assert_eq!(messages, ["panicked", "job failed"]);
    let job = job.to_string();
    assert!(log.iter().all(|line| line["job_id"] == *job), "{log:?}");
}

/// The log that a worker has stored for a job.
async fn job_log(lab: &Lab, job: i64) -> String {
    let assignment = &lab.job(job).unwrap()["assignments"][0]["id"];
    let uri = format!("s3://{}/job-logs/{job}/{assignment}.jsonl", lab.bucket());
    let storage = Storage::s3(lab_storage::options(lab));
    let log = in_time(storage.read(&uri.parse().unwrap(), 64 << 20)).await;
    String::from_utf8(log.unwrap().into()).unwrap()
}

#[tokio::test]
async fn a_job_log_has_the_lines_of_its_handler_isolated_or_not() {
    for format in ["json", "human"] {
        let lab = lab().await;
        let job = lab.submit("CRASH", json!("chatter")).unwrap();
        let crash = lab.submit("PLAIN", json!("panic")).unwrap();
        let program = worker_for(&lab)
            .unruly()
            .env("LOG_FORMAT", format)
            .env("JOB_LOGS", format!("s3://{}/job-logs", lab.bucket()));
        let worker = program.start(&[]);
        assert_eq!(final_status(&lab, job).await, "SUCCEEDED");
        assert_eq!(final_status(&lab, crash).await, "FAILED");
        worker.stop().await;
        let messages = |log: String| -> Vec<String> {
            let lines = log
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap());
            lines
                .map(|line| line["message"].as_str().unwrap().to_owned())
                .collect()
        };
        let chatter = messages(job_log(&lab, job).await);
        for said in [
            "job claimed",
            "said on stderr",
            "said in the log",
            "outputs stored",
        ] {
            let times = chatter
                .iter()
                .filter(|message| message.contains(said))
                .count();
            assert_eq!(times, 1, "{said}: {chatter:?}");
        }
        let crash = messages(job_log(&lab, crash).await);
        assert!(crash.contains(&"panicked".to_owned()), "{crash:?}");
    }
}

#[tokio::test]
async fn a_refused_password_is_not_logged() {
    let lab = lab().await;
    let program = worker_for(&lab)
        .secret("WORKER_PASSWORD", "correct horse")
        .env("RUST_LOG", "trace");
    assert_eq!(program.run(&[]).await.code, Some(77));
}
