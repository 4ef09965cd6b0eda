use std::process::Stdio;
use std::time::Duration;

use reefguide_client::job::{AssignmentId, JobId, JobStatus};
use reefguide_lab::{Fault, Lab, Route};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::desk::{Desk, until};

/// A desk with three jobs, which an administrator may cancel.
async fn desk() -> Desk {
    let race = Duration::from_millis(500);
    let desk = Desk::with(Lab::builder().assign_race(race)).await;
    desk.log_in_as("worker@email.com");
    for id in 1..=3 {
        desk.lab.submit("TEST", json!({ "id": id })).unwrap();
    }
    desk
}

/// Two claims of job 2, which the API holds to be free all the same: what a claim leaves that is written at the moment at
/// which the job is cancelled.
async fn claims(desk: &Desk) -> [AssignmentId; 2] {
    let worker = desk.worker();
    worker.log_in().await.unwrap();
    let job = JobId::from(2);
    let assign = || worker.assign(&job, "arn:aws:ecs:task/7", "");
    let claims = tokio::join!(assign(), assign(), assign());
    let claims = [claims.0, claims.1, claims.2].map(|claim| claim.unwrap().id);
    let [put_back, claims @ ..] = claims;
    desk.report(&worker, &put_back, JobStatus::Pending).await;
    claims
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_a_worker_claims_at_the_same_moment_is_not_called_cancelled() {
    for (status, last) in [
        (None, "cancel_claimed"),
        (Some(JobStatus::InProgress), "cancel_runs_on"),
        (Some(JobStatus::Succeeded), "cancel_done"),
    ] {
        let desk = desk().await;
        let [claim, _] = claims(&desk).await;
        let mut process = desk.process(&["cancel", "1", "2", "1", "3"]);
        let child = process
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // As the API says until the claim is written, too.
        until(|| desk.lab.job(2).unwrap()["status"] == "CANCELLED").await;
        if let Some(status) = status {
            desk.report(&desk.worker(), &claim, status).await;
        }
        let output = child.wait_with_output().unwrap();
        insta::assert_snapshot!(last, desk.told(&output));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn json_says_of_each_job_whether_it_is_cancelled_and_who_has_it() {
    let desk = desk().await;
    claims(&desk).await;
    let cancel = ["cancel", "1", "2", "--json"];
    let output = desk.reefguide(&cancel).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty());
    let told: Vec<_> = lines
        .map(|line| serde_json::from_slice::<Value>(line).unwrap())
        .map(|job| ["id", "status", "cancelled", "claimedBy"].map(|key| job[key].clone()))
        .collect();
    let expected = [
        json!([1, "CANCELLED", true, null]),
        json!([2, "CANCELLED", false, "arn:aws:ecs:task/7"]),
    ];
    assert_eq!(json!(told), json!(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_cancelled_before_a_job_that_cannot_be_is_told() {
    let desk = desk().await;
    let worker = desk.worker();
    worker.assign(&2.into(), "arn", "").await.unwrap();
    insta::assert_snapshot!("cancel_half_way", desk.said(&["cancel", "1", "2", "3"]));
    assert_eq!(desk.lab.job(3).unwrap()["status"], "PENDING");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_cancel_says_what_it_has_not_seen() {
    let desk = desk().await;
    let late = Fault::delay(Route::Job, Duration::from_secs(600));
    desk.lab.faults().add(late);
    let mut process = desk.process(&["cancel", "1", "3"]);
    let child = process
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // By then it has heard that both are cancelled, and asks for more.
    until(|| desk.lab.faults().fired() > 0).await;
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    insta::assert_snapshot!("cancel_interrupted", desk.told(&output));
}
