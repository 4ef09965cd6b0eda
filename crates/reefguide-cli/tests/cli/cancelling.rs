use std::process::Stdio;
use std::time::Duration;

use reefguide_lab::{Fault, Lab, Route};
use reefguide_worker::job::JobStatus;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::desk::{Desk, until};

/// A desk whose lab takes its time between asking whether a job is free and giving it away, and does not tell before how
/// it has gone.
async fn desk() -> Desk {
    let race = Duration::from_millis(1_600);
    let desk = Desk::with(Lab::builder().assign_race(race)).await;
    desk.log_in_as("worker@email.com");
    for id in 1..=3 {
        desk.lab.submit("TEST", json!({ "id": id })).unwrap();
    }
    let late = Fault::delay(Route::Job, Duration::from_millis(1_200));
    desk.lab.faults().add(late);
    desk
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_a_worker_claims_at_the_same_moment_is_not_called_cancelled() {
    let desk = desk().await;
    let worker = desk.worker();
    worker.log_in().await.unwrap();
    let claim = tokio::spawn({
        let worker = worker.clone();
        async move { worker.assign(&2.into(), "arn:aws:ecs:task/7", "").await }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    // The claim has asked by now, and is not written.
    assert_eq!(desk.lab.job(2).unwrap()["status"], "PENDING");
    insta::assert_snapshot!("cancel_race", desk.said(&["cancel", "1", "2", "1", "3"]));
    let held = claim.await.unwrap().unwrap();
    assert_eq!(desk.lab.job(2).unwrap()["status"], "IN_PROGRESS");
    desk.report(&worker, &held.id, JobStatus::Succeeded).await;
    // What it was told is what the job came to.
    assert_eq!(desk.lab.job(2).unwrap()["status"], "SUCCEEDED");
}

#[tokio::test(flavor = "multi_thread")]
async fn json_says_of_each_job_whether_it_is_cancelled_and_who_has_it() {
    let desk = desk().await;
    let worker = desk.worker();
    worker.log_in().await.unwrap();
    let claim = tokio::spawn(async move { worker.assign(&2.into(), "arn", "").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let output = desk
        .reefguide(&["cancel", "1", "2", "--json"])
        .output()
        .unwrap();
    claim.await.unwrap().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let lines = output.stdout.split(|byte| *byte == b'\n');
    let lines = lines
        .filter(|line| !line.is_empty())
        .map(serde_json::from_slice::<Value>);
    let told: Vec<_> = lines
        .map(Result::unwrap)
        .map(|job| {
            (
                job["id"].clone(),
                job["status"].clone(),
                job["cancelled"].clone(),
                job["claimedBy"].clone(),
            )
        })
        .collect();
    let expected = [
        (json!(1), json!("CANCELLED"), json!(true), json!(null)),
        (json!(2), json!("IN_PROGRESS"), json!(false), json!("arn")),
    ];
    assert_eq!(told, expected);
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
    let mut process = desk.process(&["cancel", "1", "3"]);
    let child = process
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    until(|| desk.lab.job(3).unwrap()["status"] == "CANCELLED").await;
    // The answer has to arrive.
    tokio::time::sleep(Duration::from_millis(300)).await;
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    insta::assert_snapshot!("cancel_interrupted", desk.told(&output));
}
