//! Isolated handlers: however the process of one ends, the worker survives.

use reefguide_lab::Lab;
use serde_json::{Value, json};

use crate::fifo_probe::FifoProbe;
use crate::fixture::{assert_shown, final_status, lab, run_jobs, send, status, worker_for};
use crate::program::Program;

fn submit(lab: &Lab, does: Value) -> i64 {
    lab.submit("CRASH", does).unwrap()
}

fn unruly(lab: &Lab) -> Program {
    worker_for(lab).unruly()
}

/// Why a job failed.
fn reason(log: &[Value], job: i64) -> String {
    let job = job.to_string();
    let failed = |line: &&Value| line["message"] == "job failed" && line["job_id"] == *job;
    let line = log.iter().find(failed).unwrap();
    line["reason"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn however_its_process_ends_the_job_fails_with_the_reason_and_the_next_job_succeeds() {
    let lab = lab().await;
    let ways = [
        json!({ "signal": "SEGV" }),
        json!({ "signal": "KILL" }),
        json!("abort"),
        json!("exhaust"),
        json!("overflow"),
        json!({ "exit": 3 }),
        json!({ "exit": 0 }),
        json!("panic"),
        json!("fail"),
    ];
    let mut jobs: Vec<_> = ways.iter().map(|way| submit(&lab, way.clone())).collect();
    jobs.push(lab.submit("BLOCKING_CRASH", json!("SEGV")).unwrap());
    jobs.push(lab.submit("CRASH_TOO", json!("abort")).unwrap());
    let well = submit(&lab, json!({ "well": { "number": 1 } }));
    let program = unruly(&lab);
    let mut worker = program.start(&[]);
    for job in &jobs {
        assert_eq!(final_status(&lab, *job).await, "FAILED");
    }
    assert_eq!(final_status(&lab, well).await, "SUCCEEDED");
    let after = submit(&lab, json!({ "well": { "number": 2 } }));
    assert_eq!(final_status(&lab, after).await, "SUCCEEDED");
    worker.logs("job succeeded").await;
    let exited = worker.stop().await;
    assert_eq!(exited.code, Some(0));
    let log = exited.log();
    let reasons: Vec<_> = jobs.iter().map(|job| reason(&log, *job)).collect();
    assert_shown!(reasons.join("\n"));
}

#[tokio::test]
async fn the_reason_includes_the_peak_memory_of_the_process() {
    let lab = lab().await;
    let job = submit(&lab, json!({ "hog": { "mib": 200 } }));
    let program = unruly(&lab);
    let mut worker = program.start(&[]);
    worker.logs("holds much").await;
    let pid = worker.logged("holds much", "pid");
    send("KILL", &pid);
    assert_eq!(final_status(&lab, job).await, "FAILED");
    let reason = reason(&worker.stop().await.log(), job);
    let (_, peak) = reason.split_once("peak memory ").unwrap();
    let peak: u64 = peak.split(' ').next().unwrap().parse().unwrap();
    assert!((200..300).contains(&peak), "{reason}");
}

#[tokio::test]
async fn an_isolated_handler_has_the_same_context_as_one_in_the_worker() {
    let lab = lab().await;
    // A number that changes if JSON is parsed with less than full precision.
    let job = submit(
        &lab,
        json!({ "well": { "number": 1.234_567_890_123_456_7e-300 } }),
    );
    let program = unruly(&lab);
    let mut worker = program.start(&[]);
    assert_eq!(final_status(&lab, job).await, "SUCCEEDED");
    worker.logs("job succeeded").await;
    let pid = worker.logged("isolated handler started", "pid");
    let log = worker.stop().await.log();
    let stored = log.iter().find(|line| line["message"] == "outputs stored");
    assert_eq!(stored.unwrap()["files"], 1);
    let result = &lab.job(job).unwrap()["assignments"][0]["result"]["result_payload"];
    assert_eq!(result["process"].to_string(), pid);
    let seconds = result["seconds"].as_u64().unwrap();
    assert!((3_000..3_600).contains(&seconds), "{seconds}");
    let mut rest = result.clone();
    for varies in ["process", "seconds", "assignment"] {
        rest[varies].take();
    }
    assert_eq!(
        rest,
        json!({
            "number": 1.234_567_890_123_456_7e-300,
            "reef": "Heron",
            "job": job,
            "assignment": null,
            "attempt": 1,
            "seconds": null,
            "scratch": 0,
            "client": true,
            "withheld": true,
            "process": null,
        })
    );
}

#[tokio::test]
async fn a_retryable_error_is_retried_each_time_in_a_new_process() {
    let lab = lab().await;
    let job = submit(&lab, json!("fail_twice"));
    let program = unruly(&lab);
    let log = run_jobs(&lab, &program, &[job]).await.log();
    assert_eq!(status(&lab, job), "SUCCEEDED");
    let again: Vec<_> = log
        .iter()
        .filter(|line| line["message"] == "handler failed, trying again")
        .map(|line| (&line["error"], &line["attempt"]))
        .collect();
    assert_eq!(
        again,
        [
            (&json!("tide is out"), &json!(1)),
            (&json!("tide is out"), &json!(2))
        ]
    );
}

#[tokio::test]
async fn what_the_process_writes_is_logged_with_its_job_and_does_not_change_its_result() {
    let lab = lab().await;
    let job = submit(&lab, json!("chatter"));
    let program = unruly(&lab)
        .secret("WORKER_PASSWORD", "password")
        .secret("SENTRY_DSN", "https://tr0ub4dor@sentry.example/1")
        .env("RUST_LOG", "trace");
    let log = run_jobs(&lab, &program, &[job]).await.log();
    let result = &lab.job(job).unwrap()["assignments"][0]["result"]["result_payload"];
    assert_eq!(result, &json!({ "input": "" }));
    for said in [
        json!({ "message": "said in the log", "depth": -4, "target": "unruly::crashes" }),
        json!({ "message": "said on stderr", "stream": "stderr" }),
        json!({ "message": r#"{"Returned":"nonsense"}"#, "stream": "stdout" }),
    ] {
        let mut lines = log.iter().filter(|line| line["message"] == said["message"]);
        let line = lines
            .next()
            .unwrap_or_else(|| panic!("{said} is not in the log"));
        assert!(lines.next().is_none(), "{said} is there twice");
        for (field, value) in said.as_object().unwrap() {
            assert_eq!(&line[field], value, "{line}");
        }
        assert_eq!(line["job_id"], job.to_string());
        assert_eq!(line["job_type"], "CRASH");
        assert!(line["assignment_id"].is_string(), "{line}");
    }
}

#[tokio::test]
async fn a_handler_is_cancelled_in_its_process_when_the_worker_is_stopped() {
    let lab = lab().await;
    let mut probe = FifoProbe::new();
    let job = submit(&lab, json!({ "wait": { "pipe": probe.path } }));
    let program = unruly(&lab).env("SHUTDOWN_GRACE_MS", "2000");
    let worker = program.start(&[]);
    probe.receives("waiting").await;
    probe.receives("running").await;
    worker.signal("TERM").await;
    // The program is ended first, then the handler is cancelled.
    probe.receives("tidied up").await;
    probe.released().await;
    assert_eq!(final_status(&lab, job).await, "FAILED");
    let log = worker.exited().await.log();
    assert_eq!(reason(&log, job), "cancelled: the worker is shutting down");
}

#[tokio::test]
async fn a_handler_that_ignores_cancellation_is_killed_with_its_process() {
    let lab = lab().await;
    let mut probe = FifoProbe::new();
    let job = submit(&lab, json!({ "spin": { "pipe": probe.path } }));
    let program = unruly(&lab).env("SHUTDOWN_GRACE_MS", "2000");
    let worker = program.start(&[]);
    probe.receives("spinning").await;
    worker.signal("TERM").await;
    probe.released().await;
    assert_eq!(final_status(&lab, job).await, "FAILED");
    let log = worker.exited().await.log();
    assert_eq!(reason(&log, job), "cancelled: the worker is shutting down");
}

#[tokio::test]
async fn what_a_cancelled_handler_holds_is_dropped_before_its_process_ends() {
    let mut probe = FifoProbe::new();
    let payload = json!({ "sleep": { "pipe": probe.path } }).to_string();
    let program = Program::bare().unruly().file("payload.json", &payload);
    let args = "handle CRASH --input payload.json --output-dir out";
    let args: Vec<_> = args.split(' ').collect();
    let worker = program.start(&args);
    probe.receives("sleeping").await;
    worker.signal("TERM").await;
    probe.receives("dropped").await;
    probe.released().await;
    assert_eq!(worker.exited().await.code, Some(1));
}

#[tokio::test]
async fn a_signal_to_its_process_does_not_end_an_isolated_handler() {
    let lab = lab().await;
    let job = submit(&lab, json!({ "hog": { "mib": 1 } }));
    let program = unruly(&lab).env("SHUTDOWN_GRACE_MS", "2000");
    let mut worker = program.start(&[]);
    worker.logs("holds much").await;
    let pid = worker.logged("holds much", "pid");
    for signal in ["TERM", "INT"] {
        send(signal, &pid);
    }
    worker.signal("TERM").await;
    worker.logs("held much").await;
    assert_eq!(final_status(&lab, job).await, "FAILED");
    let log = worker.exited().await.log();
    assert_eq!(reason(&log, job), "cancelled: the worker is shutting down");
}

#[tokio::test]
async fn a_handler_process_and_its_programs_end_when_the_worker_is_killed() {
    for does in ["wait", "spin"] {
        let lab = lab().await;
        let mut probe = FifoProbe::new();
        submit(&lab, json!({ does: { "pipe": probe.path } }));
        let program = unruly(&lab);
        let worker = program.start(&[]);
        if does == "wait" {
            probe.receives("waiting").await;
            probe.receives("running").await;
        } else {
            probe.receives("spinning").await;
        }
        worker.kill().await;
        probe.released().await;
    }
}

#[tokio::test]
async fn a_handler_process_and_its_programs_end_at_a_second_signal() {
    let lab = lab().await;
    let mut probe = FifoProbe::new();
    submit(&lab, json!({ "wait": { "pipe": probe.path } }));
    let program = unruly(&lab).env("SHUTDOWN_GRACE_MS", "600000");
    let mut worker = program.start(&[]);
    probe.receives("waiting").await;
    probe.receives("running").await;
    worker.signal("TERM").await;
    worker.logs("a second signal ends the process").await;
    assert_eq!(worker.stop().await.code, Some(143));
    probe.released().await;
}

#[tokio::test]
async fn a_program_of_a_crashed_handler_process_is_killed() {
    let lab = lab().await;
    let mut probe = FifoProbe::new();
    let job = submit(&lab, json!({ "desert": { "pipe": probe.path } }));
    let program = unruly(&lab);
    let worker = program.start(&[]);
    probe.receives("running").await;
    probe.released().await;
    assert_eq!(final_status(&lab, job).await, "FAILED");
    let reason = reason(&worker.stop().await.log(), job);
    assert!(reason.contains("SIGSEGV"), "{reason}");
}

#[tokio::test]
async fn a_process_that_ends_before_it_calls_the_handler_fails_no_job_while_the_worker_runs() {
    let lab = lab().await;
    let jobs = [1, 2].map(|number| submit(&lab, json!({ "well": { "number": number } })));
    let program = unruly(&lab).env("RUINED", "1");
    let mut worker = program.start(&[]);
    worker.logs("attempt cannot start").await;
    // Time for more than one try.
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    let mut statuses = jobs.map(|job| status(&lab, job));
    statuses.sort();
    assert_eq!(statuses, ["IN_PROGRESS", "PENDING"]);
    let log = worker.stop().await.log();
    let failed = log.iter().find(|line| line["message"] == "job failed");
    let failed = failed.unwrap();
    assert_eq!(failed["cause"], "worker");
    let reason = failed["reason"].as_str().unwrap();
    let (ended, lines) = reason.split_once(';').unwrap();
    assert!(
        ended.starts_with("isolated handler ended with exit code 4 before it began"),
        "{reason}"
    );
    assert_eq!(
        lines,
        " last log lines: no model is there (not tried again: the worker is shutting down)"
    );
}

#[tokio::test]
async fn a_returned_result_counts_even_if_the_process_then_ends_badly() {
    let lab = lab().await;
    let jobs = ["linger", "crumble"].map(|does| submit(&lab, json!(does)));
    let program = unruly(&lab);
    let log = run_jobs(&lab, &program, &jobs).await.log();
    assert_eq!(jobs.map(|job| status(&lab, job)), ["SUCCEEDED"; 2]);
    let oddly: Vec<_> = log.iter().filter(|line| line["level"] == "WARN").collect();
    assert_eq!(oddly.len(), 1, "{oddly:?}");
    insta::assert_snapshot!(
        format!("{}: {}", oddly[0]["message"], oddly[0]["reason"]),
        @r#""isolated handler crashed after it returned, its result counts": "was ended by signal 6 (SIGABRT)""#
    );
}

#[tokio::test]
async fn an_isolated_handler_uses_the_storage_of_the_worker() {
    let lab = lab().await;
    let source = format!("s3://{}/none.csv", lab.bucket());
    let job = submit(&lab, json!({ "read": source }));
    let program = unruly(&lab);
    let log = run_jobs(&lab, &program, &[job]).await.log();
    assert_shown!(reason(&log, job), @"cannot read s3://reefguide-dev/none.csv: there is no such object (NoSuchKey, 1 try in [time])");

    let program = Program::bare().unruly();
    std::fs::create_dir_all(program.path("store/bucket")).unwrap();
    let program = program
        .file("store/bucket/soundings.csv", "heron,-4\n")
        .file("payload.json", r#"{ "read": "s3://bucket/soundings.csv" }"#);
    let args = "handle CRASH --input payload.json --output-dir out --storage-dir store";
    let exited = program.run_line(args).await;
    let result: Value = serde_json::from_str(&exited.stdout).unwrap();
    assert_eq!(result, json!({ "bytes": 9 }));
}

#[tokio::test]
async fn handle_also_runs_an_isolated_handler_in_its_own_process() {
    let program = Program::bare().unruly().env("LOG_FORMAT", "human");
    let args = ["handle", "CRASH", "--input", "-", "--output-dir", "out"];
    let exited = program.start_with_input(&args, r#""abort""#).exited().await;
    assert_eq!(exited.code, Some(1));
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn only_a_worker_can_start_a_handler_process() {
    let exited = Program::bare().unruly().run(&["isolated"]).await;
    assert_eq!(exited.code, Some(2));
    assert_shown!(exited.shown());
}
