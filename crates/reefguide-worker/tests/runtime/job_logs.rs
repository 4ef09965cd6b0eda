//! The logs of jobs, where they are stored by themselves.

use std::sync::Arc;
use std::time::Duration;

use reefguide_lab::{JobTypeSpec, Lab};
use reefguide_worker::prelude::*;
use reefguide_worker::runtime::{JobLogs, RunOptions, WorkerBuilder};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::rig::{Log, Rig, Running, in_time};

/// A worker whose handler says what is in the payload and writes as many outputs.
async fn worker(rig: &Rig, job_logs: JobLogs) -> WorkerBuilder {
    let mut options = rig.options();
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
    let worker = rig.worker().await.options(options);
    worker.handler_fn("TEST", handler)
}

/// A worker whose handler says when it has begun, and returns when it is cancelled.
async fn waiting(rig: &Rig, options: RunOptions) -> (WorkerBuilder, Arc<Semaphore>) {
    let begun = Arc::new(Semaphore::new(0));
    let begins = begun.clone();
    let worker = rig.worker().await.options(options);
    let worker = worker.handler_fn("TEST", move |_: Value, ctx: JobContext| {
        begins.add_permits(1);
        async move {
            ctx.cancellation().cancelled().await;
            Ok(())
        }
    });
    (worker, begun)
}

fn folder(rig: &Rig) -> StorageUri {
    format!("s3://{}/job-logs", rig.lab.bucket())
        .parse()
        .unwrap()
}

/// The messages of the log that a job has left in the folder.
async fn stored(rig: &Rig, job: i64) -> Option<Vec<String>> {
    let assignment = &rig.lab.job(job).unwrap()["assignments"][0]["id"];
    let uri = folder(rig)
        .join(&format!("{job}/{assignment}.jsonl"))
        .unwrap();
    let log = rig.storage().read(&uri, 1 << 20).await.ok()?;
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
    let rig = Rig::start().await;
    let _log = Log::with_job_logs();
    let (well, badly) = (rig.submit_test(1), rig.submit_test(13));
    let worker = Running::start(worker(&rig, JobLogs::Folder(folder(&rig))).await);
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
    assert_eq!(rig.ended(badly).await, "FAILED");
    let end = ["attempt failed, reporting the job as failed"];
    assert_eq!(stored(&rig, badly).await, story(&end));
    assert_eq!(rig.ended(well).await, "SUCCEEDED");
    let end = ["handler returned", "outputs stored"];
    assert_eq!(stored(&rig, well).await, story(&end));
    worker.stop().await;
    assert!(rig.scratch_is_empty());
}

#[tokio::test]
async fn a_log_may_be_with_the_outputs_where_it_keeps_nobody_from_them() {
    let rig = Rig::start().await;
    let log = Log::with_job_logs();
    let jobs = [1, 13, 24, 25].map(|id| rig.submit_test(id));
    let worker = Running::start(worker(&rig, JobLogs::Outputs).await);
    let mut outputs = Vec::new();
    for job in jobs {
        rig.ended(job).await;
        outputs.push(rig.outputs(job).await);
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
    let rig = Rig::start().await;
    let _log = Log::with_job_logs();
    let job = rig.submit_test(1);
    let mut options = rig.options();
    options.job_logs = JobLogs::Outputs;
    let worker = rig.worker().await.options(options);
    let worker = worker.handler_fn("TEST", |_: Value, ctx: JobContext| async move {
        ctx.outputs().write("job-log.jsonl", "its own").await?;
        Ok(())
    });
    let worker = Running::start(worker);
    assert_eq!(rig.ended(job).await, "SUCCEEDED");
    worker.stop().await;
    let location = rig.lab.job(job).unwrap()["assignments"][0]["storage_uri"].take();
    let location: StorageUri = location.as_str().unwrap().parse().unwrap();
    let output = location.join("job-log.jsonl").unwrap();
    assert_eq!(rig.storage().read(&output, 100).await.unwrap(), "its own");
}

#[tokio::test]
async fn a_log_that_cannot_be_stored_fails_no_job() {
    let rig = Rig::start().await;
    let log = Log::with_job_logs();
    let job = rig.submit_test(1);
    let nowhere = "s3://no-such-bucket/job-logs".parse().unwrap();
    let worker = Running::start(worker(&rig, JobLogs::Folder(nowhere)).await);
    assert_eq!(rig.ended(job).await, "SUCCEEDED");
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
    let rig = Rig::start().await;
    let _log = Log::with_job_logs();
    let mut options = rig.options();
    options.job_logs = JobLogs::Folder(folder(&rig));
    options.watch_interval = Some(Duration::from_millis(50));
    let (worker, begun) = waiting(&rig, options).await;
    let job = rig.submit_test(1);
    let running = Running::start(worker);
    in_time(begun.acquire()).await.unwrap().forget();
    let administrator = rig.client_of("worker@email.com");
    administrator
        .timeout_jobs(Duration::from_nanos(1), &[])
        .await
        .unwrap();
    assert_eq!(running.stop().await.jobs.given_up, 1);
    assert_eq!(stored(&rig, job).await, None);
}

#[tokio::test]
async fn the_log_of_a_job_whose_lease_has_run_out_is_not_stored() {
    let brief = JobTypeSpec::new("TEST").expiry(Duration::from_secs(1));
    let rig = Rig::with(Lab::builder().job_type(brief)).await;
    let log = Log::with_job_logs();
    let mut options = rig.options();
    options.job_logs = JobLogs::Folder(folder(&rig));
    options.deadline_margin = Duration::ZERO;
    let (worker, begun) = waiting(&rig, options).await;
    let job = rig.submit_test(1);
    let running = Running::start(worker);
    in_time(begun.acquire()).await.unwrap().forget();
    running.stop().await;
    assert_eq!(log.lines("job left without a result").len(), 1);
    assert_eq!(stored(&rig, job).await, None);
}

#[tokio::test]
async fn without_the_option_no_log_is_stored() {
    let rig = Rig::start().await;
    let _log = Log::with_job_logs();
    let job = rig.submit_test(1);
    let worker = Running::start(worker(&rig, JobLogs::Off).await);
    assert_eq!(rig.ended(job).await, "SUCCEEDED");
    worker.stop().await;
    assert_eq!(rig.outputs(job).await, ["0.txt"]);
}
