use std::process::Stdio;
use std::time::Duration;

use reefguide_lab::{Fault, Lab, Route};
use reefguide_worker::job::{AssignmentId, JobId, JobStatus};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::fixture::{CliFixture, until};

/// Three jobs, and an administrator who may cancel them.
async fn fixture() -> CliFixture {
    let race = Duration::from_millis(500);
    let cli = CliFixture::with(Lab::builder().assign_race(race)).await;
    cli.log_in_as("worker@email.com");
    for id in 1..=3 {
        cli.lab.submit("TEST", json!({ "id": id })).unwrap();
    }
    cli
}

/// Two claims of job 2, which is pending all the same: the state after a claim that is written while the job is being
/// cancelled.
async fn claims(cli: &CliFixture) -> [AssignmentId; 2] {
    let worker = cli.worker();
    worker.log_in().await.unwrap();
    let job = JobId::from(2);
    let assign = || worker.assign(&job, "arn:aws:ecs:task/7", "");
    let claims = tokio::join!(assign(), assign(), assign());
    let claims = [claims.0, claims.1, claims.2].map(|claim| claim.unwrap().id);
    let [put_back, claims @ ..] = claims;
    cli.report(&worker, &put_back, JobStatus::Pending).await;
    claims
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_a_worker_claims_at_the_same_moment_is_not_called_cancelled() {
    for (status, last) in [
        (None, "cancel_claimed"),
        (Some(JobStatus::InProgress), "cancel_runs_on"),
        (Some(JobStatus::Succeeded), "cancel_done"),
    ] {
        let cli = fixture().await;
        let [claim, _] = claims(&cli).await;
        let mut process = cli.process(&["cancel", "1", "2", "1", "3"]);
        let child = process
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The API also reports this before a late claim is written.
        until(|| cli.lab.job(2).unwrap()["status"] == "CANCELLED").await;
        if let Some(status) = status {
            cli.report(&cli.worker(), &claim, status).await;
        }
        let output = child.wait_with_output().unwrap();
        insta::assert_snapshot!(last, cli.transcript(&output));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json_has_for_each_job_whether_it_is_cancelled_and_who_claimed_it() {
    let cli = fixture().await;
    claims(&cli).await;
    let cancel = ["cancel", "1", "2", "--json"];
    let output = cli.reefguide(&cancel).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    let jobs: Vec<_> = lines
        .map(|line| serde_json::from_slice::<Value>(line).unwrap())
        .map(|job| ["id", "status", "cancelled", "claimedBy"].map(|key| job[key].clone()))
        .collect();
    let expected = [
        json!([1, "CANCELLED", true, null]),
        json!([2, "CANCELLED", false, "arn:aws:ecs:task/7"]),
    ];
    assert_eq!(json!(jobs), json!(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_were_cancelled_before_one_that_cannot_be_are_printed() {
    let cli = fixture().await;
    let worker = cli.worker();
    worker.assign(&2.into(), "arn", "").await.unwrap();
    insta::assert_snapshot!("cancel_half_way", cli.run(&["cancel", "1", "2", "3"]));
    assert_eq!(cli.lab.job(3).unwrap()["status"], "PENDING");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_cancel_names_the_jobs_that_it_has_not_checked() {
    let cli = fixture().await;
    let late = Fault::delay(Route::Job, Duration::from_secs(600));
    cli.lab.faults().add(late);
    let mut process = cli.process(&["cancel", "1", "3"]);
    let child = process
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Both jobs are cancelled by then, and the command is checking them.
    until(|| cli.lab.faults().fired() > 0).await;
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    insta::assert_snapshot!("cancel_interrupted", cli.transcript(&output));
}
