use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use reefguide_lab::{Fault, Lab, Route};
use reefguide_worker::job::JobStatus;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::fixture::CliFixture;

fn spawn(cli: &CliFixture, args: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut child = cli.process(args).stdout(Stdio::piped()).spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

fn next(out: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_printed_until_all_jobs_have_ended_and_all_must_succeed() {
    for (last, code) in [(JobStatus::Succeeded, 0), (JobStatus::Failed, 1)] {
        let cli = CliFixture::logged_in().await;
        let worker = cli.worker();
        let first = cli.claim_job(&worker, json!({ "id": 1 })).await;
        let second = cli.claim_job(&worker, json!({ "id": 2 })).await;
        let (mut child, mut out) = spawn(&cli, &["watch", "2", "1", "2"]);
        assert_eq!(next(&mut out), "job 1 is IN_PROGRESS");
        assert_eq!(next(&mut out), "job 2 is IN_PROGRESS");
        cli.report(&worker, &first.id, JobStatus::Succeeded).await;
        assert_eq!(next(&mut out), "job 1 is SUCCEEDED");
        let printed = format!("job 2 is {last}");
        cli.report(&worker, &second.id, last).await;
        assert_eq!(next(&mut out), printed);
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert_eq!(next(&mut out), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submitted_job_is_watched_through_an_outage_and_printed_as_json_lines() {
    let cli = CliFixture::logged_in().await;
    let args = [
        "submit",
        "TEST",
        "--input",
        "{\"id\": 1}",
        "--watch",
        "--json",
    ];
    let (mut child, mut out) = spawn(&cli, &args);
    let mut json = || -> Value { serde_json::from_str(&next(&mut out)).unwrap() };
    assert_eq!(json()["jobId"], 1);
    assert_eq!(json()["status"], "PENDING");
    cli.lab
        .faults()
        .add(Fault::status(Route::Job, 502).times(1));
    let worker = cli.worker();
    let held = worker.assign(&1.into(), "", "").await.unwrap();
    let result = json!({});
    worker
        .post_result(&held.id, &JobStatus::Succeeded, Some(&result))
        .await
        .unwrap();
    let last = json();
    assert_eq!(last["status"], "SUCCEEDED");
    assert_eq!(last["assignments"][0]["result"]["result_payload"], result);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(cli.run(&["watch", "1"]), "exit 0\njob 1 is SUCCEEDED: {}\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_watching_with_the_code_of_the_signal() {
    let cli = CliFixture::logged_in().await;
    cli.lab.submit("TEST", json!({ "id": 1 })).unwrap();
    for (signal, code) in [(Signal::HUP, 129), (Signal::INT, 130), (Signal::TERM, 143)] {
        let (mut child, mut out) = spawn(&cli, &["watch", "1"]);
        assert_eq!(next(&mut out), "job 1 is PENDING");
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_command_whose_output_is_not_read() {
    let cli = CliFixture::with(Lab::builder().any_job_type()).await;
    cli.log_in_as("user@email.com");
    // More than the pipe and the reader's buffer hold.
    let payload = json!({ "note": "reef ".repeat(19_000) });
    cli.lab.submit("NOTE", payload).unwrap();
    let (mut child, mut out) = spawn(&cli, &["show", "1", "--json"]);
    assert_eq!(next(&mut out), "{");
    let patience = Instant::now() + Duration::from_secs(30);
    let ended = loop {
        // Two signals that arrive together count as one.
        let _ = kill_process(Pid::from_child(&child), Signal::TERM);
        tokio::time::sleep(Duration::from_millis(50)).await;
        match child.try_wait().unwrap() {
            Some(ended) => break ended.code(),
            None if Instant::now() > patience => {
                child.kill().unwrap();
                panic!("it still waits for its reader");
            }
            None => {}
        }
    };
    assert_eq!(ended, Some(143));
}
