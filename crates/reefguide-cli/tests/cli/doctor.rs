use std::time::Duration;

use reefguide_client::job::JobStatus;
use reefguide_jobs::source::reefguide::ReefGuide;
use reefguide_lab::{JobTypeSpec, Lab};
use reefguide_storage::StorageUri;
use reefguide_worker::handler::JobError;
use reefguide_worker::runtime::{RunOptions, Worker};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::desk::{Desk, FILTERS};

/// A worker that has claimed a job when it dies; on a runtime of its own, which takes everything with it.
async fn worker_dies(desk: &Desk) {
    let lab = &desk.lab;
    let job = lab.submit("TEST", json!({ "id": 1 })).unwrap();
    let mut options = RunOptions::default();
    options.records = format!("s3://{}/reefguide-worker/records", lab.bucket())
        .parse()
        .ok();
    let source = ReefGuide::builder(desk.worker());
    let worker = Worker::builder()
        .source(source.task("arn:aws:ecs:task/7", "").build())
        .storage(desk.storage().await)
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

/// The doctor, who knows the bucket.
fn doctor(desk: &Desk, args: &[&str]) -> String {
    let keys = [
        "S3_ENDPOINT",
        "S3_BUCKET_NAME",
        "AWS_REGION",
        "MINIO_USERNAME",
        "MINIO_PASSWORD",
    ];
    let env = desk.lab.env().into_iter();
    let env = env.filter(|(name, _)| keys.contains(name));
    let mut command = desk.reefguide(&[&["doctor"], args].concat());
    desk.told(&command.envs(env).output().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_shows_what_a_dead_worker_left_and_settles_it() {
    let desk = Desk::new().await;
    desk.log_in_as("worker@email.com");
    insta::assert_snapshot!("doctor_healthy", doctor(&desk, &[]));
    worker_dies(&desk).await;
    insta::with_settings!({ filters => FILTERS }, {
        insta::assert_snapshot!("doctor_waits", doctor(&desk, &[]));
        insta::assert_snapshot!("doctor_finds", doctor(&desk, &["--dead-after", "0"]));
    });
    insta::assert_snapshot!(
        "doctor_repairs",
        doctor(&desk, &["--repair", "--dead-after", "1"])
    );
    assert_eq!(desk.lab.job(1).unwrap()["status"], "FAILED");
    let records = ["--records", "s3://reefguide-dev/reefguide-worker/records"];
    assert_eq!(doctor(&desk, &[]), doctor(&desk, &records));
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_stuck_for_different_reasons_and_only_a_second_option_ends_a_lease_without_a_record()
 {
    let short = JobTypeSpec::new("SHORT").expiry(Duration::from_millis(1));
    let desk = Desk::with(Lab::builder().job_type(short)).await;
    desk.log_in_as("worker@email.com");
    let worker = desk.worker();

    let lost = desk.lab.submit("SHORT", json!(1)).unwrap();
    worker
        .assign(&lost.into(), "arn:aws:ecs:task/1", "")
        .await
        .unwrap();
    desk.claimed(&worker, json!({ "id": 1 })).await;
    let closed = desk.claimed(&worker, json!({ "id": 2 })).await;
    desk.report(&worker, &closed.id, JobStatus::InProgress)
        .await;
    desk.lab.submit("SHORT", json!(2)).unwrap();
    desk.lab.submit("SHORT", json!(3)).unwrap();

    insta::with_settings!({ filters => FILTERS }, {
        insta::assert_snapshot!("doctor_stuck", doctor(&desk, &["--pending-after", "0"]));
        insta::assert_snapshot!("doctor_without_a_bucket", desk.said(&["doctor"]));
    });
    let found = desk.json(&["doctor", "--json"]);
    let whys = found["findings"].as_array().unwrap().iter();
    let whys: Vec<_> = whys
        .map(|finding| finding["why"].as_str().unwrap())
        .collect();
    assert_eq!(whys, ["no-assignment", "lease-ended"]);
    assert_eq!(found["alive"], Value::Null);

    let statuses = || [1, 2, 3].map(|id| desk.lab.job(id).unwrap()["status"].clone());
    insta::with_settings!({ filters => FILTERS }, {
        insta::assert_snapshot!("doctor_leaves_what_has_no_record", doctor(&desk, &["--repair"]));
        assert_eq!(statuses(), ["IN_PROGRESS"; 3]);
        let confirmed = ["--repair", "--without-record"];
        insta::assert_snapshot!("doctor_repairs_a_lease", doctor(&desk, &confirmed));
    });
    assert_eq!(statuses(), ["FAILED", "IN_PROGRESS", "IN_PROGRESS"]);
    let left = desk.json(&["doctor", "--repair", "--json"]);
    assert_eq!(left["left"]["findings"][0]["why"], "no-assignment");
    assert!(left["left"]["findings"][0]["remedy"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_repair_ends_a_job_whose_worker_renews_its_record() {
    let short = JobTypeSpec::new("SHORT").expiry(Duration::from_millis(1));
    let desk = Desk::with(Lab::builder().job_type(short)).await;
    desk.log_in_as("worker@email.com");
    let job = desk.lab.submit("SHORT", json!(1)).unwrap();
    let worker = desk.worker();
    worker.assign(&job.into(), "arn", "").await.unwrap();
    let storage = desk.storage().await;
    let record = format!("s3://{}/reefguide-worker/records/1", desk.lab.bucket());
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
    crate::desk::until(|| {
        desk.lab
            .requests()
            .iter()
            .any(|request| request.method == "PUT")
    })
    .await;
    let repair = ["--repair", "--without-record"];
    let said = doctor(&desk, &repair);
    assert!(
        said.starts_with("exit 0\n0 settled, 0 not settled, 1 held by workers that live\n"),
        "{said}"
    );
    // A record that cannot be read may be of any job.
    renewing.abort();
    let _ = renewing.await;
    let (storage, record) = (desk.storage().await, record.clone());
    storage.upload_bytes("{", &record).await.unwrap();
    insta::with_settings!({ filters => FILTERS }, {
        insta::assert_snapshot!("doctor_unreadable_record", doctor(&desk, &repair));
    });
    assert_eq!(desk.lab.job(job).unwrap()["status"], "IN_PROGRESS");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_cannot_be_read_hides_no_other() {
    let desk = Desk::with(Lab::builder().any_job_type()).await;
    desk.log_in_as("worker@email.com");
    let worker = desk.worker();
    let deep = (0..110).fold(json!(1), |inner, _| json!([inner]));
    let deep = desk.lab.submit("DEEP", deep).unwrap();
    worker
        .assign(&deep.into(), "arn:aws:ecs:task/1", "")
        .await
        .unwrap();
    desk.claimed(&worker, json!({ "id": 1 })).await;
    insta::with_settings!({ filters => FILTERS }, {
        insta::assert_snapshot!("doctor_unreadable", doctor(&desk, &[]));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_read_the_records_is_told() {
    let desk = Desk::logged_in().await;
    let said = doctor(&desk, &["--bucket", "no-such-bucket"]);
    assert!(
        said.starts_with("exit 1\nerror: cannot list s3://no-such-bucket/"),
        "{said}"
    );
}
