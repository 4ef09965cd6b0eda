//! The logs of single jobs.

use std::sync::Arc;
use std::time::Duration;

use reefguide_lab::{JobTypeSpec, Lab};
use reefguide_worker::prelude::*;
use reefguide_worker::runtime::{JobLogs, RunOptions, WorkerBuilder};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::fixture::{Fixture, Log, Running, in_time};

/// A worker whose handler logs the payload's message and writes the payload's number of outputs.
fn worker(fixture: &Fixture, job_logs: JobLogs) -> WorkerBuilder {
    let mut options = fixture.options();
    options.job_logs = job_logs;
    let handler = |input: Value, ctx: JobContext| async move {
        let id = input["id"].as_u64().unwrap();
        tracing::info!(id, "in the handler");
        let computed = ctx.blocking(move || {
            tracing::info!(id, "in a computation");
            Ok(id)
        });
        for n in 0..computed.await? {
            ctx.outputs().write(&format!("{n}.txt"), "").await?;
        }
        if id == 13 {
            return Err(JobError::permanent("13 brings bad luck"));
        }
        Ok(())
    };
    let worker = fixture.worker().options(options);
    worker.handler_fn("TEST", handler)
}

/// A worker whose handler signals its start, and returns when it is cancelled.
fn waiting(fixture: &Fixture, options: RunOptions) -> (WorkerBuilder, Arc<Semaphore>) {
    let started = Arc::new(Semaphore::new(0));
    let begins = started.clone();
    let worker = fixture.worker().options(options);
    let worker = worker.handler_fn("TEST", move |_: Value, ctx: JobContext| {
        begins.add_permits(1);
        async move {
            ctx.cancellation().cancelled().await;
            Ok(())
        }
    });
    (worker, started)
}

fn folder(fixture: &Fixture) -> StorageUri {
    format!("s3://{}/job-logs", fixture.lab.bucket())
        .parse()
        .unwrap()
}

/// The messages of a job's log in the folder.
async fn stored(fixture: &Fixture, job: i64) -> Option<Vec<String>> {
    let assignment = &fixture.lab.job(job).unwrap()["assignments"][0]["id"];
    let uri = folder(fixture)
        .join(&format!("{job}/{assignment}.jsonl"))
        .unwrap();
    let log = fixture.storage().read(&uri, 1 << 20).await.ok()?;
    let line = |line: &[u8]| {
        let line: Value = serde_json::from_slice(line).unwrap();
        assert_eq!(line["job_id"], job.to_string(), "{line}");
        line["message"].as_str().unwrap().to_owned()
    };
    let lines = log
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    Some(lines.map(line).collect())
}

#[tokio::test]
async fn the_log_of_every_job_is_stored_before_the_job_is_reported() {
    let fixture = Fixture::start().await;
    let _log = Log::with_job_logs();
    let (well, badly) = (fixture.submit_test(1), fixture.submit_test(13));
    let worker = Running::start(worker(&fixture, JobLogs::Folder(folder(&fixture))));
    let story = |end: &[&str]| {
        let begin = [
            "job claimed",
            "attempt started",
            "in the handler",
            "in a computation",
        ];
        let story = begin.iter().chain(end);
        Some(
            story
                .map(|message| (*message).to_owned())
                .collect::<Vec<_>>(),
        )
    };
    assert_eq!(fixture.ended(badly).await, "FAILED");
    let end = ["attempt failed, reporting the job as failed"];
    assert_eq!(stored(&fixture, badly).await, story(&end));
    assert_eq!(fixture.ended(well).await, "SUCCEEDED");
    let end = ["handler returned", "outputs stored"];
    assert_eq!(stored(&fixture, well).await, story(&end));
    worker.stop().await;
    assert!(fixture.scratch_is_empty());
}

#[tokio::test]
async fn a_log_is_stored_with_the_outputs_if_users_can_still_be_shown_all_of_them() {
    let fixture = Fixture::start().await;
    let log = Log::with_job_logs();
    let jobs = [1, 13, 24, 25].map(|id| fixture.submit_test(id));
    let worker = Running::start(worker(&fixture, JobLogs::Outputs));
    let mut outputs = Vec::new();
    for job in jobs {
        fixture.ended(job).await;
        outputs.push(fixture.outputs(job).await);
    }
    worker.stop().await;
    let name = "job-log.jsonl".to_owned();
    assert_eq!(outputs[0], ["0.txt".to_owned(), name.clone()]);
    assert_eq!(outputs[1], std::slice::from_ref(&name));
    assert_eq!(outputs[2].len(), 25);
    assert!(outputs[2].contains(&name));
    assert_eq!(outputs[3].len(), 25);
    assert!(!outputs[3].contains(&name));
    assert_eq!(log.lines("job log not stored with the outputs").len(), 1);
}

#[tokio::test]
async fn an_output_of_the_same_name_is_not_replaced() {
    let fixture = Fixture::start().await;
    let _log = Log::with_job_logs();
    let job = fixture.submit_test(1);
    let mut options = fixture.options();
    options.job_logs = JobLogs::Outputs;
    let worker = fixture.worker().options(options);
    let worker = worker.handler_fn("TEST", |_: Value, ctx: JobContext| async move {
        ctx.outputs().write("job-log.jsonl", "its own").await?;
        Ok(())
    });
    let worker = Running::start(worker);
    assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    worker.stop().await;
    let location = fixture.lab.job(job).unwrap()["assignments"][0]["storage_uri"].take();
    let location: StorageUri = location.as_str().unwrap().parse().unwrap();
    let output = location.join("job-log.jsonl").unwrap();
    assert_eq!(
        fixture.storage().read(&output, 100).await.unwrap(),
        "its own"
    );
}

#[tokio::test]
async fn a_log_that_cannot_be_stored_fails_no_job() {
    let fixture = Fixture::start().await;
    let log = Log::with_job_logs();
    let job = fixture.submit_test(1);
    let nowhere = "s3://no-such-bucket/job-logs".parse().unwrap();
    let worker = Running::start(worker(&fixture, JobLogs::Folder(nowhere)));
    assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    worker.stop().await;
    let warnings = log.lines("job log not stored");
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains("no-such-bucket/job-logs/1/1.jsonl"),
        "{}",
        warnings[0]
    );
}

#[tokio::test]
async fn the_log_of_a_job_that_is_given_up_is_not_stored() {
    let fixture = Fixture::start().await;
    let _log = Log::with_job_logs();
    let mut options = fixture.options();
    options.job_logs = JobLogs::Folder(folder(&fixture));
    options.watch_interval = Some(Duration::from_millis(50));
    let (worker, started) = waiting(&fixture, options);
    let job = fixture.submit_test(1);
    let running = Running::start(worker);
    in_time(started.acquire()).await.unwrap().forget();
    let administrator = fixture.client_of("worker@email.com");
    administrator
        .timeout_jobs(Duration::from_nanos(1), &[])
        .await
        .unwrap();
    assert_eq!(running.stop().await.jobs.given_up, 1);
    assert_eq!(stored(&fixture, job).await, None);
}

#[tokio::test]
async fn the_log_of_a_job_whose_lease_has_run_out_is_not_stored() {
    let brief = JobTypeSpec::new("TEST").expiry(Duration::from_secs(1));
    let fixture = Fixture::with(Lab::builder().job_type(brief)).await;
    let log = Log::with_job_logs();
    let mut options = fixture.options();
    options.job_logs = JobLogs::Folder(folder(&fixture));
    options.deadline_margin = Duration::ZERO;
    let (worker, started) = waiting(&fixture, options);
    let job = fixture.submit_test(1);
    let running = Running::start(worker);
    in_time(started.acquire()).await.unwrap().forget();
    running.stop().await;
    assert_eq!(log.lines("job left without a result").len(), 1);
    assert_eq!(stored(&fixture, job).await, None);
}

#[tokio::test]
async fn without_the_option_no_log_is_stored() {
    let fixture = Fixture::start().await;
    let _log = Log::with_job_logs();
    let job = fixture.submit_test(1);
    let worker = Running::start(worker(&fixture, JobLogs::Off));
    assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    worker.stop().await;
    assert_eq!(fixture.outputs(job).await, ["0.txt"]);
}
