use std::time::Duration;

use reefguide_lab::{JobTypeSpec, Lab};
use reefguide_worker::handler::JobError;
use reefguide_worker::job::JobStatus;
use reefguide_worker::runtime::{RunOptions, Worker};
use reefguide_worker::source::reefguide::ReefGuide;
use reefguide_worker::storage::StorageUri;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::fixture::{CliFixture, FILTERS};

/// Runs a worker until it has claimed a job, and kills it by shutting down its runtime.
async fn worker_dies(cli: &CliFixture) {
    let lab = &cli.lab;
    let job = lab.submit("TEST", json!({ "id": 1 })).unwrap();
    let mut options = RunOptions::default();
    options.records = format!("s3://{}/reefguide-worker/records", lab.bucket())
        .parse()
        .ok();
    let source = ReefGuide::builder(cli.worker());
    let worker = Worker::builder()
        .source(source.task("arn:aws:ecs:task/7", "").build())
        .storage(cli.storage())
        .options(options)
        .handler_fn("TEST", |_: Value, _| {
            std::future::pending::<Result<(), JobError>>()
        });
    let runtime = Runtime::new().unwrap();
    runtime.spawn(worker.build().unwrap().run());
    let claimed = lab.wait_for(job, |job| job["status"] == "IN_PROGRESS");
    tokio::time::timeout(Duration::from_secs(60), claimed)
        .await
        .unwrap()
        .unwrap();
    runtime.shutdown_background();
}

/// Runs `doctor` with access to the bucket.
fn doctor(cli: &CliFixture, args: &[&str]) -> String {
    let keys = [
        "S3_ENDPOINT",
        "S3_BUCKET_NAME",
        "AWS_REGION",
        "MINIO_USERNAME",
        "MINIO_PASSWORD",
    ];
    let env = cli.lab.env().into_iter();
    let env = env.filter(|(name, _)| keys.contains(name));
    let mut command = cli.reefguide(&[&["doctor"], args].concat());
    cli.transcript(&command.envs(env).output().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_the_job_of_a_dead_worker_and_resolves_it() {
    let cli = CliFixture::new().await;
    cli.log_in_as("worker@email.com");
    insta::assert_snapshot!("doctor_healthy", doctor(&cli, &[]));
    worker_dies(&cli).await;
    insta::with_settings!({ filters => FILTERS }, {
        insta::assert_snapshot!("doctor_waits", doctor(&cli, &[]));
        insta::assert_snapshot!("doctor_finds", doctor(&cli, &["--dead-after", "0"]));
    });
    insta::assert_snapshot!(
        "doctor_repairs",
        doctor(&cli, &["--repair", "--dead-after", "1"])
    );
    assert_eq!(cli.lab.job(1).unwrap()["status"], "FAILED");
    let records = ["--records", "s3://reefguide-dev/reefguide-worker/records"];
    assert_eq!(doctor(&cli, &[]), doctor(&cli, &records));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reason_for_a_stuck_job_is_named_and_only_a_second_option_fails_jobs_without_a_record()
{
    let short = JobTypeSpec::new("SHORT").expiry(Duration::from_millis(1));
    let cli = CliFixture::with(Lab::builder().job_type(short)).await;
    cli.log_in_as("worker@email.com");
    let worker = cli.worker();

    let lost = cli.lab.submit("SHORT", json!(1)).unwrap();
    worker
        .assign(&lost.into(), "arn:aws:ecs:task/1", "")
        .await
        .unwrap();
    cli.claim_job(&worker, json!({ "id": 1 })).await;
    let closed = cli.claim_job(&worker, json!({ "id": 2 })).await;
    cli.report(&worker, &closed.id, JobStatus::InProgress).await;
    cli.lab.submit("SHORT", json!(2)).unwrap();
    cli.lab.submit("SHORT", json!(3)).unwrap();

    insta::with_settings!({ filters => FILTERS }, {
        insta::assert_snapshot!("doctor_stuck", doctor(&cli, &["--pending-after", "0"]));
        insta::assert_snapshot!("doctor_without_a_bucket", cli.run(&["doctor"]));
    });
    let found = cli.json(&["doctor", "--json"]);
    let whys = found["findings"].as_array().unwrap().iter();
    let whys: Vec<_> = whys
        .map(|finding| finding["why"].as_str().unwrap())
        .collect();
    assert_eq!(whys, ["no-assignment", "lease-ended"]);
    assert_eq!(found["alive"], Value::Null);

    let statuses = || [1, 2, 3].map(|id| cli.lab.job(id).unwrap()["status"].clone());
    insta::with_settings!({ filters => FILTERS }, {
        insta::assert_snapshot!("doctor_leaves_what_has_no_record", doctor(&cli, &["--repair"]));
        assert_eq!(statuses(), ["IN_PROGRESS"; 3]);
        let confirmed = ["--repair", "--without-record"];
        insta::assert_snapshot!("doctor_repairs_a_lease", doctor(&cli, &confirmed));
    });
    assert_eq!(statuses(), ["FAILED", "IN_PROGRESS", "IN_PROGRESS"]);
    let left = cli.json(&["doctor", "--repair", "--json"]);
    assert_eq!(left["left"]["findings"][0]["why"], "no-assignment");
    assert!(left["left"]["findings"][0]["remedy"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_never_fails_a_job_whose_worker_renews_its_record() {
    let short = JobTypeSpec::new("SHORT").expiry(Duration::from_millis(1));
    let cli = CliFixture::with(Lab::builder().job_type(short)).await;
    cli.log_in_as("worker@email.com");
    let job = cli.lab.submit("SHORT", json!(1)).unwrap();
    let worker = cli.worker();
    worker.assign(&job.into(), "arn", "").await.unwrap();
    let storage = cli.storage();
    let record = format!("s3://{}/reefguide-worker/records/1", cli.lab.bucket());
    let record: StorageUri = record.parse().unwrap();
    let renewed = record.clone();
    let renewing = tokio::spawn(async move {
        for renewals in 0.. {
            let text = json!({
                "job_id": 1, "job_type": "SHORT", "claimant": "arn",
                "written_at": jiff::Timestamp::now().to_string(),
                "renewals": renewals, "interval_ms": 1_000, "outcome": null,
            });
            let text = text.to_string();
            storage.upload_bytes(text, &renewed).await.unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    });
    crate::fixture::until(|| {
        cli.lab
            .requests()
            .iter()
            .any(|request| request.method == "PUT")
    })
    .await;
    let repair = ["--repair", "--without-record"];
    let printed = doctor(&cli, &repair);
    assert!(
        printed.starts_with("exit 0\n0 resolved, 0 not resolved, 1 held by live workers\n"),
        "{printed}"
    );
    // A record that cannot be read may belong to any job.
    renewing.abort();
    let _ = renewing.await;
    let (storage, record) = (cli.storage(), record.clone());
    storage.upload_bytes("{", &record).await.unwrap();
    insta::with_settings!({ filters => FILTERS }, {
        insta::assert_snapshot!("doctor_unreadable_record", doctor(&cli, &repair));
    });
    assert_eq!(cli.lab.job(job).unwrap()["status"], "IN_PROGRESS");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_cannot_be_read_does_not_hide_others() {
    let cli = CliFixture::with(Lab::builder().any_job_type()).await;
    cli.log_in_as("worker@email.com");
    let worker = cli.worker();
    let deep = (0..110).fold(json!(1), |inner, _| json!([inner]));
    let deep = cli.lab.submit("DEEP", deep).unwrap();
    worker
        .assign(&deep.into(), "arn:aws:ecs:task/1", "")
        .await
        .unwrap();
    cli.claim_job(&worker, json!({ "id": 1 })).await;
    insta::with_settings!({ filters => FILTERS }, {
        insta::assert_snapshot!("doctor_unreadable", doctor(&cli, &[]));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_may_not_be_read_are_an_error() {
    let cli = CliFixture::logged_in().await;
    let printed = doctor(&cli, &["--bucket", "no-such-bucket"]);
    assert!(
        printed.starts_with("exit 1\nerror: cannot list s3://no-such-bucket/"),
        "{printed}"
    );
}
