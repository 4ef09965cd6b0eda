//! Failures and panics, as Sentry receives them.

use reefguide_lab::Lab;
use serde_json::{Value, json};

use crate::fixture::{assert_shown, final_status, lab, submit_test, worker_for};
use crate::receiver::Receiver;

/// The events in all envelopes, in the order of their jobs.
fn events(receiver: &Receiver) -> Vec<Value> {
    let mut events = Vec::new();
    for request in receiver.received() {
        assert_eq!(request.path, "/api/7/envelope/");
        let lines = request.body.split(|byte| *byte == b'\n');
        let lines: Vec<Value> = lines
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        for pair in lines.windows(2) {
            if pair[0]["type"] == "event" {
                events.push(pair[1].clone());
            }
        }
    }
    events.sort_by_key(|event| event["tags"]["job_id"].as_str().map(str::to_owned));
    events
}

fn submit_copy(lab: &Lab) -> i64 {
    let source = format!("s3://{}/none.csv", lab.bucket());
    lab.submit("COPY", json!({ "source": source })).unwrap()
}

#[tokio::test]
async fn a_panic_and_a_failure_are_reported_once_each_and_a_payload_that_does_not_fit_is_not() {
    let (lab, receiver) = (lab().await, Receiver::start().await);
    let dsn = format!("http://tr0ub4dor@127.0.0.1:{}/7", receiver.port);
    let program = worker_for(&lab)
        .secret("SENTRY_DSN", &dsn)
        .env("SENTRY_ENVIRONMENT", "reef");
    let (panics, fails) = (submit_test(&lab, 13), submit_copy(&lab));
    let misfit = lab.submit("COPY", json!({ "source": "hunter2" })).unwrap();
    let worker = program.start(&[]);
    for job in [panics, fails, misfit] {
        assert_eq!(final_status(&lab, job).await, "FAILED");
    }
    assert_eq!(worker.stop().await.code, Some(0));

    let events = events(&receiver);
    assert_eq!(events.len(), 2, "{events:#?}");
    for (event, job) in events.iter().zip([panics, fails]) {
        assert_eq!(event["tags"]["job_id"], job.to_string());
        assert!(event["tags"]["assignment_id"].is_string());
        assert_eq!(event["environment"], "reef");
        let release = concat!("process-tests@", env!("CARGO_PKG_VERSION"));
        assert_eq!(event["release"], release);
    }
    let reported = events.iter().map(|event| {
        let exception = &event["exception"]["values"][0];
        let fields = [
            &event["transaction"],
            &event["culprit"],
            &exception["type"],
            &exception["value"],
            &event["tags"]["job_type"],
            &event["tags"]["cause"],
        ];
        format!("{}\n", json!(fields))
    });
    assert_shown!(reported.collect::<String>(), @r#"
    ["TEST","crates/process-tests/src/main.rs:[line]","panic","13 brings bad luck","TEST",null]
    ["COPY",null,"JobFailed","cannot read s3://reefguide-dev/none.csv: there is no such object (NoSuchKey, 1 try in [time])","COPY","handler"]
    "#);
    let all: String = receiver
        .received()
        .iter()
        .map(|request| String::from_utf8_lossy(&request.body).into_owned())
        .collect();
    for secret in ["hunter2", "minioadmin", "payload"] {
        assert!(!all.contains(secret), "{secret} is in a report");
    }
}

#[tokio::test]
async fn an_invalid_dsn_stops_the_start() {
    let lab = lab().await;
    let program = worker_for(&lab).secret("SENTRY_DSN", "sentry.example.org");
    assert_shown!(program.run(&[]).await.shown(), @r"
    exit 78
    --- stderr
    error: SENTRY_DSN is not valid: it must have the form https://key@sentry.example/7: no valid url provided
    ");
}
