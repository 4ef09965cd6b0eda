use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Duration;

use reefguide_lab::{Fault, Lab, Route};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::fixture::CliFixture;

const BATCH: &str = "{\"id\": 1}\n\n{\"id\": 2}\n{\"id\": 3}\n";

#[tokio::test(flavor = "multi_thread")]
async fn each_line_of_a_batch_is_a_job_in_order() {
    let cli = CliFixture::with(Lab::builder().any_job_type()).await;
    cli.log_in_as("user@email.com");
    cli.write("batch.jsonl", BATCH);
    let printed = cli.run(&["submit", "TEST", "--batch", "batch.jsonl", "--rate", "1000"]);
    assert_eq!(printed, "exit 0\n1\n2\n3\n");
    assert_eq!(cli.lab.job(3).unwrap()["input_payload"]["id"], 3);

    let named =
        "{\"type\": \"REEF\", \"payload\": [1]}\n{\"type\": \"TEST\", \"payload\": {\"id\": 1}}";
    let printed = cli.run_with_stdin(
        &["submit", "--batch", "-", "--json", "--rate", "1000"],
        named,
    );
    let mut lines = printed
        .lines()
        .skip(1)
        .map(|line| serde_json::from_str(line).unwrap());
    let mut next = || -> Value { lines.next().unwrap() };
    let (first, second) = (next(), next());
    assert_eq!(
        (&first["line"], &first["jobId"], &first["cached"]),
        (&1.into(), &4.into(), &false.into())
    );
    assert_eq!(
        (&second["line"], &second["jobId"], &second["cached"]),
        (&2.into(), &1.into(), &true.into())
    );
    assert_eq!(cli.lab.job(4).unwrap()["type"], "REEF");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_with_a_wrong_line_is_not_submitted_at_all() {
    let cli = CliFixture::logged_in().await;
    let lines = "{\"id\": 1}\n{\"id\": \n{\"id\": 3}\nid 4\n";
    insta::assert_snapshot!(
        "batch_wrong_lines",
        cli.run_with_stdin(&["submit", "TEST", "--batch", "-"], lines)
    );
    insta::assert_snapshot!(
        "batch_without_types",
        cli.run_with_stdin(&["submit", "--batch", "-"], BATCH)
    );
    insta::assert_snapshot!(
        "batch_no_file",
        cli.run(&["submit", "--batch", "none.jsonl"])
    );
    assert_eq!(cli.lab.jobs().unwrap().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_refused_half_way_names_the_option_to_continue() {
    let cli = CliFixture::logged_in().await;
    cli.write(
        "batch.jsonl",
        "{\"id\": 1}\n\n{\"id\": 2}\n{\"ID\": 3}\n{\"id\": 4}",
    );
    let submit = ["submit", "TEST", "--batch", "batch.jsonl", "--rate", "1000"];
    insta::assert_snapshot!("batch_refused", cli.run(&submit));
    cli.write(
        "batch.jsonl",
        "{\"id\": 1}\n\n{\"id\": 2}\n{\"id\": 3}\n{\"id\": 4}",
    );
    assert_eq!(
        cli.run(&[&submit[..], &["--skip", "2"]].concat()),
        "exit 0\n3\n4\n"
    );
    insta::assert_snapshot!(
        "batch_skipped",
        cli.run(&[&submit[..], &["--skip", "4"]].concat())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_waits_as_long_as_the_api_asks_and_submits_every_job() {
    let cli = CliFixture::logged_in().await;
    cli.write("batch.jsonl", BATCH);
    let busy = Fault::too_many_requests(Route::Create, Duration::from_secs(3));
    cli.lab.faults().add(busy.after(1).times(1));
    cli.lab
        .faults()
        .add(Fault::lost_answer(Route::Create).after(1).times(1));
    let printed = cli.run(&["submit", "TEST", "--batch", "batch.jsonl", "--rate", "1000"]);
    assert!(printed.starts_with("exit 0\n1\n2\n3\n"), "{printed}");
    assert!(
        printed.contains("POST /jobs: too many attempts; try again in 3 s (waiting 3 s)"),
        "{printed}"
    );
    assert_eq!(cli.lab.jobs().unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_batch_names_the_option_to_continue() {
    let cli = CliFixture::logged_in().await;
    cli.write("batch.jsonl", BATCH);
    let submit = ["submit", "TEST", "--batch", "batch.jsonl", "--rate", "0.01"];
    let mut process = cli.process(&submit);
    let mut child = process
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    assert_eq!(first, "1\n");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        cli.transcript(&output),
        "exit 130\n1 of 3 jobs are submitted; continue with --skip 1\n"
    );
}
