//! A handler in a process of its own: whatever becomes of that, the worker lives on.

use reefguide_lab::Lab;
use serde_json::{Value, json};

use crate::pipe::Pipe;
use crate::program::{Ended, Program};
use crate::rig::{assert_shown, ended, lab, send, status, worker_for};

fn submit(lab: &Lab, does: Value) -> i64 {
    lab.submit("CRASH", does).unwrap()
}

fn unruly(lab: &Lab) -> Program {
    worker_for(lab).unruly()
}

/// A worker's jobs, run one after another, and what it left in the log.
async fn work(lab: &Lab, program: &Program, jobs: &[i64]) -> Ended {
    let worker = program.start(&[]);
    for job in jobs {
        ended(lab, *job).await;
    }
    worker.signal("TERM").await;
    let ended = worker.ended().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended
}

/// Why a job failed.
fn reason(log: &[Value], job: i64) -> String {
    let job = job.to_string();
    let failed = |line: &&Value| line["message"] == "job failed" && line["job_id"] == *job;
    let line = log.iter().find(failed).unwrap();
    line["reason"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn whatever_ends_its_process_fails_the_job_with_the_reason_and_the_next_job_is_done() {
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
        assert_eq!(ended(&lab, *job).await, "FAILED");
    }
    assert_eq!(ended(&lab, well).await, "SUCCEEDED");
    let after = submit(&lab, json!({ "well": { "number": 2 } }));
    assert_eq!(ended(&lab, after).await, "SUCCEEDED");
    worker.says("job succeeded").await;
    worker.signal("TERM").await;
    let ended = worker.ended().await;
    assert_eq!(ended.code, Some(0));
    let log = ended.log();
    let reasons: Vec<_> = jobs.iter().map(|job| reason(&log, *job)).collect();
    assert_shown!(reasons.join("\n"));
}

#[tokio::test]
async fn the_reason_has_the_most_memory_that_the_process_had() {
    let lab = lab().await;
    let job = submit(&lab, json!({ "hog": { "mib": 200 } }));
    let program = unruly(&lab);
    let mut worker = program.start(&[]);
    worker.says("holds much").await;
    let pid = worker.logged("holds much", "pid");
    let kill = format!("kill -KILL {pid}");
    let killed = std::process::Command::new("sh")
        .args(["-c", &kill])
        .status();
    assert!(killed.unwrap().success());
    assert_eq!(ended(&lab, job).await, "FAILED");
    worker.signal("TERM").await;
    let reason = reason(&worker.ended().await.log(), job);
    let (_, peak) = reason.split_once("peak memory ").unwrap();
    let peak: u64 = peak.split(' ').next().unwrap().parse().unwrap();
    assert!((200..300).contains(&peak), "{reason}");
}

#[tokio::test]
async fn a_handler_has_in_its_own_process_what_it_has_in_the_workers() {
    let lab = lab().await;
    // A number that is another one after a careless way through JSON.
    let job = submit(
        &lab,
        json!({ "well": { "number": 1.234_567_890_123_456_7e-300 } }),
    );
    let program = unruly(&lab);
    let mut worker = program.start(&[]);
    assert_eq!(ended(&lab, job).await, "SUCCEEDED");
    worker.says("job succeeded").await;
    let pid = worker.logged("isolated handler started", "pid");
    worker.signal("TERM").await;
    let log = worker.ended().await.log();
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
async fn an_error_for_now_is_tried_again_each_time_in_a_new_process() {
    let lab = lab().await;
    let job = submit(&lab, json!("fail_twice"));
    let program = unruly(&lab);
    let log = work(&lab, &program, &[job]).await.log();
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
async fn whatever_it_writes_is_in_the_log_of_its_job_and_its_result_is_its_own() {
    let lab = lab().await;
    let job = submit(&lab, json!("chatter"));
    let program = unruly(&lab)
        .secret("WORKER_PASSWORD", "password")
        .secret("SENTRY_DSN", "https://tr0ub4dor@sentry.example/1")
        .env("RUST_LOG", "trace");
    let log = work(&lab, &program, &[job]).await.log();
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
async fn when_the_worker_is_stopped_a_handler_is_cancelled_in_its_process() {
    let lab = lab().await;
    let mut pipe = Pipe::new();
    let job = submit(&lab, json!({ "wait": { "pipe": pipe.path } }));
    let program = unruly(&lab).env("SHUTDOWN_GRACE_MS", "2000");
    let worker = program.start(&[]);
    pipe.says("waiting").await;
    pipe.says("running").await;
    worker.signal("TERM").await;
    // Its program is let go first, then it is its own turn.
    pipe.says("tidied up").await;
    pipe.let_go().await;
    assert_eq!(ended(&lab, job).await, "FAILED");
    let log = worker.ended().await.log();
    assert_eq!(reason(&log, job), "cancelled: the worker is shutting down");
}

#[tokio::test]
async fn a_handler_that_does_not_listen_is_ended_with_its_process() {
    let lab = lab().await;
    let mut pipe = Pipe::new();
    let job = submit(&lab, json!({ "spin": { "pipe": pipe.path } }));
    let program = unruly(&lab).env("SHUTDOWN_GRACE_MS", "2000");
    let worker = program.start(&[]);
    pipe.says("spinning").await;
    worker.signal("TERM").await;
    pipe.let_go().await;
    assert_eq!(ended(&lab, job).await, "FAILED");
    let log = worker.ended().await.log();
    assert_eq!(reason(&log, job), "cancelled: the worker is shutting down");
}

#[tokio::test]
async fn what_a_cancelled_handler_holds_is_dropped_before_its_process_ends() {
    let mut pipe = Pipe::new();
    let payload = json!({ "sleep": { "pipe": pipe.path } }).to_string();
    let program = Program::bare().unruly().file("payload.json", &payload);
    let args = "handle CRASH --input payload.json --output-dir out";
    let args: Vec<_> = args.split(' ').collect();
    let worker = program.start(&args);
    pipe.says("sleeping").await;
    worker.signal("TERM").await;
    pipe.says("dropped").await;
    pipe.let_go().await;
    assert_eq!(worker.ended().await.code, Some(1));
}

#[tokio::test]
async fn a_signal_to_its_process_does_not_end_a_handler() {
    let lab = lab().await;
    let job = submit(&lab, json!({ "hog": { "mib": 1 } }));
    let program = unruly(&lab).env("SHUTDOWN_GRACE_MS", "2000");
    let mut worker = program.start(&[]);
    worker.says("holds much").await;
    let pid = worker.logged("holds much", "pid");
    for signal in ["TERM", "INT"] {
        send(signal, &pid);
    }
    worker.signal("TERM").await;
    worker.says("held much").await;
    assert_eq!(ended(&lab, job).await, "FAILED");
    let log = worker.ended().await.log();
    assert_eq!(reason(&log, job), "cancelled: the worker is shutting down");
}

#[tokio::test]
async fn its_process_and_programs_end_with_the_worker_however_that_ends() {
    for does in ["wait", "spin"] {
        let lab = lab().await;
        let mut pipe = Pipe::new();
        submit(&lab, json!({ does: { "pipe": pipe.path } }));
        let program = unruly(&lab);
        let worker = program.start(&[]);
        if does == "wait" {
            pipe.says("waiting").await;
            pipe.says("running").await;
        } else {
            pipe.says("spinning").await;
        }
        worker.kill().await;
        pipe.let_go().await;
    }
}

#[tokio::test]
async fn its_process_and_programs_end_at_a_second_signal() {
    let lab = lab().await;
    let mut pipe = Pipe::new();
    submit(&lab, json!({ "wait": { "pipe": pipe.path } }));
    let program = unruly(&lab).env("SHUTDOWN_GRACE_MS", "600000");
    let mut worker = program.start(&[]);
    pipe.says("waiting").await;
    pipe.says("running").await;
    worker.signal("TERM").await;
    worker.says("a second signal ends the process").await;
    worker.signal("TERM").await;
    assert_eq!(worker.ended().await.code, Some(143));
    pipe.let_go().await;
}

#[tokio::test]
async fn a_program_of_a_process_that_has_ended_is_ended_too() {
    let lab = lab().await;
    let mut pipe = Pipe::new();
    let job = submit(&lab, json!({ "desert": { "pipe": pipe.path } }));
    let program = unruly(&lab);
    let worker = program.start(&[]);
    pipe.says("running").await;
    pipe.let_go().await;
    assert_eq!(ended(&lab, job).await, "FAILED");
    worker.signal("TERM").await;
    let reason = reason(&worker.ended().await.log(), job);
    assert!(reason.contains("SIGSEGV"), "{reason}");
}

#[tokio::test]
async fn a_process_that_ends_before_it_calls_the_handler_fails_no_job_while_the_worker_lives() {
    let lab = lab().await;
    let jobs = [1, 2].map(|number| submit(&lab, json!({ "well": { "number": number } })));
    let program = unruly(&lab).env("RUINED", "1");
    let mut worker = program.start(&[]);
    worker.says("attempt cannot begin").await;
    // More than one try.
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    let mut statuses = jobs.map(|job| status(&lab, job));
    statuses.sort();
    assert_eq!(statuses, ["IN_PROGRESS", "PENDING"]);
    worker.signal("TERM").await;
    let log = worker.ended().await.log();
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
async fn what_the_handler_has_returned_counts_whatever_its_process_does_then() {
    let lab = lab().await;
    let jobs = ["linger", "crumble"].map(|does| submit(&lab, json!(does)));
    let program = unruly(&lab);
    let log = work(&lab, &program, &jobs).await.log();
    assert_eq!(jobs.map(|job| status(&lab, job)), ["SUCCEEDED"; 2]);
    let oddly: Vec<_> = log.iter().filter(|line| line["level"] == "WARN").collect();
    assert_eq!(oddly.len(), 1, "{oddly:?}");
    insta::assert_snapshot!(
        format!("{}: {}", oddly[0]["message"], oddly[0]["reason"]),
        @r#""isolated handler ended badly after it had a result, which counts": "was ended by signal 6 (SIGABRT)""#
    );
}

#[tokio::test]
async fn its_storage_is_that_of_the_worker() {
    let lab = lab().await;
    let source = format!("s3://{}/none.csv", lab.bucket());
    let job = submit(&lab, json!({ "read": source }));
    let program = unruly(&lab);
    let log = work(&lab, &program, &[job]).await.log();
    assert_shown!(reason(&log, job), @"cannot read s3://reefguide-dev/none.csv: there is no such object (NoSuchKey, 1 attempt in [time])");

    let program = Program::bare().unruly();
    std::fs::create_dir_all(program.path("store/bucket")).unwrap();
    let program = program
        .file("store/bucket/soundings.csv", "heron,-4\n")
        .file("payload.json", r#"{ "read": "s3://bucket/soundings.csv" }"#);
    let args = "handle CRASH --input payload.json --output-dir out --storage-dir store";
    let args: Vec<_> = args.split(' ').collect();
    let ended = program.run(&args).await;
    let result: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(result, json!({ "bytes": 9 }));
}

#[tokio::test]
async fn handle_runs_it_in_its_own_process_too() {
    let program = Program::bare().unruly().env("LOG_FORMAT", "human");
    let args = ["handle", "CRASH", "--input", "-", "--output-dir", "out"];
    let ended = program.start_with_input(&args, r#""abort""#).ended().await;
    assert_eq!(ended.code, Some(1));
    assert_shown!(ended.shown());
}

#[tokio::test]
async fn nobody_else_can_start_such_a_process() {
    let ended = Program::bare().unruly().run(&["isolated"]).await;
    assert_eq!(ended.code, Some(2));
    assert_shown!(ended.shown());
}
