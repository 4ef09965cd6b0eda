//! Limits of single job types, and of the number of jobs that a worker claims.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reefguide_lab::{Fault, Lab, RequestRecord, Route};
use reefguide_worker::job::JobType;
use reefguide_worker::prelude::*;
use reefguide_worker::runtime::{RunOptions, StopReason, TypeOptions};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::fixture::{Fixture, Running, in_time};

fn with_type(fixture: &Fixture, job_type: &str, set: impl FnOnce(&mut TypeOptions)) -> RunOptions {
    let mut of_type = TypeOptions::default();
    set(&mut of_type);
    let mut options = fixture.options();
    options.types = BTreeMap::from([(job_type.into(), of_type)]);
    options
}

#[tokio::test]
async fn a_type_at_its_limit_is_not_polled_and_leaves_the_other_slots_to_other_types() {
    let fixture = Fixture::with(Lab::builder().any_job_type()).await;
    for id in 0..4 {
        fixture.submit("GREEDY", json!({ "id": id }));
    }
    let started = Arc::new(Mutex::new(Vec::new()));
    let let_go = Arc::new(Semaphore::new(0));
    let mut options = with_type(&fixture, "GREEDY", |greedy| greedy.slots = Some(1));
    options.slots = 3;
    let holding = |name: &'static str| {
        let (started, let_go) = (started.clone(), let_go.clone());
        move |_: Value, _: JobContext| {
            started.lock().unwrap().push(name);
            let let_go = let_go.clone();
            async move {
                let_go.acquire().await?.forget();
                Ok(())
            }
        }
    };
    let worker = fixture.worker().options(options);
    let worker = worker
        .handler_fn("GREEDY", holding("greedy"))
        .handler_fn("MODEST", holding("modest"));
    let worker = Running::start(worker);
    // A type without a free slot would show in polls without a claim.
    let polled = |name: &'static str, times: usize| {
        let poll = move |request: &&RequestRecord| request.path.contains(name);
        fixture
            .lab
            .wait_until(move |lab| lab.requests().iter().filter(poll).count() >= times)
    };
    in_time(polled("MODEST", 5)).await;
    let greedy = |request: &&RequestRecord| request.path.contains("jobType=GREEDY");
    assert_eq!(fixture.lab.requests().iter().filter(greedy).count(), 1);
    let modest = [1, 2].map(|id| fixture.submit("MODEST", json!({ "id": id })));
    for job in modest {
        let running = |job: &Value| job["status"] == "IN_PROGRESS";
        in_time(fixture.lab.wait_for(job, running)).await.unwrap();
    }
    let_go.add_permits(100);
    for job in fixture.lab.jobs().unwrap() {
        assert_eq!(
            fixture.ended(job["id"].as_i64().unwrap()).await,
            "SUCCEEDED"
        );
    }
    worker.stop().await;
    let started = started.lock().unwrap();
    let greedy = started.iter().filter(|name| **name == "greedy").count();
    assert_eq!((started.len(), greedy), (6, 4));
}

#[tokio::test]
async fn a_long_queue_of_one_type_does_not_hold_up_another() {
    let fixture = Fixture::with(Lab::builder().any_job_type()).await;
    for id in 0..20 {
        fixture.submit("MANY", json!({ "id": id }));
    }
    let few = fixture.submit("FEW", json!({}));
    let done = Arc::new(Mutex::new(Vec::new()));
    let noting = |name: &'static str| {
        let done = done.clone();
        move |_: Value, _: JobContext| {
            done.lock().unwrap().push(name);
            async { Ok(()) }
        }
    };
    let worker = fixture.worker();
    let worker = worker
        .handler_fn("MANY", noting("many"))
        .handler_fn("FEW", noting("few"));
    let worker = Running::start(worker);
    assert_eq!(fixture.ended(few).await, "SUCCEEDED");
    worker.stop().await;
    let done = done.lock().unwrap();
    let before = done.iter().position(|name| *name == "few").unwrap();
    assert!(before <= 1, "{before} jobs went before it");
}

#[tokio::test]
async fn a_job_that_exceeds_the_time_limit_of_its_type_fails() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let limit = Duration::from_millis(300);
    let options = with_type(&fixture, "TEST", |test| test.time_limit = Some(limit));
    let left = Arc::new(Mutex::new(None));
    let seen = left.clone();
    let worker = fixture.worker().options(options);
    let worker = worker.handler_fn("TEST", move |_: Value, ctx: JobContext| {
        *seen.lock().unwrap() = ctx.remaining();
        std::future::pending::<Result<(), JobError>>()
    });
    let worker = Running::start(worker);
    assert_eq!(fixture.ended(job).await, "FAILED");
    assert_eq!(worker.stop().await.jobs.failed, 1);
    assert!(left.lock().unwrap().unwrap() <= limit);
}

/// Fails with a retryable error, as several job types, and counts its calls.
struct Failing {
    job_type: &'static str,
    retry: Option<RetryPolicy>,
    tries: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl JobHandler for Failing {
    const JOB_TYPE: &'static str = "FAILING";
    type Input = Value;
    type Output = ();

    fn job_type(&self) -> JobType {
        self.job_type.into()
    }

    fn retry(&self) -> Option<RetryPolicy> {
        self.retry
    }

    async fn handle(&self, _: Value, ctx: &JobContext) -> Result<(), JobError> {
        let job_type = ctx.job().job_type.to_string();
        *self.tries.lock().unwrap().entry(job_type).or_default() = ctx.attempt();
        Err(JobError::retryable("not yet"))
    }
}

/// Never ends, and records its deadline.
struct Endless {
    left: Arc<Mutex<Option<Duration>>>,
}

impl JobHandler for Endless {
    const JOB_TYPE: &'static str = "TEST";
    type Input = Value;
    type Output = ();

    fn time_limit(&self) -> Option<Duration> {
        Some(Duration::from_millis(300))
    }

    async fn handle(&self, _: Value, ctx: &JobContext) -> Result<(), JobError> {
        *self.left.lock().unwrap() = ctx.remaining();
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_handlers_time_limit_applies_unless_the_operator_sets_one() {
    for operators in [None, Some(Duration::from_millis(100))] {
        let fixture = Fixture::start().await;
        let job = fixture.submit_test(1);
        let options = with_type(&fixture, "TEST", |test| test.time_limit = operators);
        let left = Arc::new(Mutex::new(None));
        let handler = Endless { left: left.clone() };
        let worker = fixture.worker().options(options).handler(handler);
        let worker = Running::start(worker);
        assert_eq!(fixture.ended(job).await, "FAILED");
        assert_eq!(worker.stop().await.jobs.failed, 1);
        let limit = operators.unwrap_or(Duration::from_millis(300));
        assert!(left.lock().unwrap().unwrap() <= limit);
    }
}

#[tokio::test]
async fn a_handler_is_called_as_often_as_the_retry_policy_of_its_type_allows() {
    let fixture = Fixture::with(Lab::builder().any_job_type()).await;
    let policy = |tries| RetryPolicy::new(Duration::from_millis(1)).tries(tries);
    // The handler sets it for two types, the operator for one of them.
    let mut options = with_type(&fixture, "OPERATOR", |own| own.retry = Some(policy(2)));
    options.handler_retry = policy(1);
    let tries = Arc::new(Mutex::new(BTreeMap::<String, u32>::new()));
    let failing = |job_type, retry| Failing {
        job_type,
        retry,
        tries: tries.clone(),
    };
    let worker = fixture.worker().options(options);
    let worker = worker
        .handler(failing("AUTHOR", Some(policy(4))))
        .handler(failing("OPERATOR", Some(policy(9))))
        .handler(failing("NOBODY", None));
    let worker = Running::start(worker);
    for job_type in ["AUTHOR", "OPERATOR", "NOBODY"] {
        let job = fixture.submit(job_type, json!({}));
        assert_eq!(fixture.ended(job).await, "FAILED");
    }
    worker.stop().await;
    let tries: Vec<_> = tries.lock().unwrap().clone().into_iter().collect();
    let expected = [("AUTHOR", 4), ("NOBODY", 1), ("OPERATOR", 2)];
    assert_eq!(
        tries,
        expected.map(|(name, tries)| (name.to_owned(), tries))
    );
}

#[tokio::test]
async fn a_draining_worker_stops_when_its_last_job_has_ended_and_there_is_no_other() {
    let fixture = Fixture::start().await;
    let jobs: Vec<_> = (0..5).map(|id| fixture.submit_test(id)).collect();
    let mut options = fixture.options();
    options.drain = true;
    options.slots = 2;
    options.idle_timeout = None;
    let worker = fixture.worker().options(options);
    let worker = worker.handler_fn("TEST", |_: Value, _| async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Ok(())
    });
    let stopped = Running::start(worker).stopped().await;
    assert!(
        matches!(stopped.reason, StopReason::Drained),
        "{}",
        stopped.reason
    );
    assert_eq!(stopped.jobs.succeeded, 5);
    for job in jobs {
        assert_eq!(fixture.status(job), "SUCCEEDED");
    }
}

#[tokio::test]
async fn a_worker_claims_no_more_than_its_maximum_of_jobs_and_finishes_them() {
    let fixture = Fixture::start().await;
    for id in 0..5 {
        fixture.submit_test(id);
    }
    let mut options = fixture.options();
    options.max_jobs = Some(3);
    options.slots = 2;
    let runs = Arc::new(AtomicUsize::new(0));
    let count = runs.clone();
    let worker = fixture.worker().options(options);
    let worker = worker.handler_fn("TEST", move |_: Value, _| {
        count.fetch_add(1, Ordering::Relaxed);
        async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok(())
        }
    });
    let stopped = Running::start(worker).stopped().await;
    assert!(
        matches!(stopped.reason, StopReason::MaxJobs(3)),
        "{}",
        stopped.reason
    );
    assert_eq!(
        (stopped.jobs.succeeded, runs.load(Ordering::Relaxed)),
        (3, 3)
    );
    let jobs = fixture.lab.jobs().unwrap();
    let pending = jobs.iter().filter(|job| job["status"] == "PENDING");
    assert_eq!(pending.count(), 2);
}

#[tokio::test]
async fn outputs_that_were_stored_before_a_shutdown_cut_their_publication_short_are_removed() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let mut options = fixture.options();
    options.shutdown_grace = Duration::from_secs(2);
    let worker = fixture.worker().options(options);
    let worker = worker.handler_fn("TEST", |_: Value, ctx: JobContext| async move {
        ctx.outputs().write("small", "a").await?;
        ctx.outputs().write("large", vec![0; 17 << 20]).await?;
        Ok(())
    });
    fixture
        .lab
        .faults()
        .add(Fault::delay(Route::S3UploadPart, Duration::from_secs(600)));
    let worker = Running::start(worker);
    let began = |request: &RequestRecord| request.route == Route::S3CreateUpload;
    in_time(
        fixture
            .lab
            .wait_until(|lab| lab.requests().iter().any(began)),
    )
    .await;
    in_time(
        fixture
            .lab
            .wait_until(|lab| lab.requests().iter().any(|r| r.path.contains("/small"))),
    )
    .await;
    let stopped = worker.stop().await;
    assert_eq!((stopped.jobs.failed, stopped.jobs.undelivered), (1, 0));
    assert_eq!(fixture.status(job), "FAILED");
    assert!(fixture.outputs(job).await.is_empty());
    assert_eq!(fixture.unresolved().await, 0);
}

#[tokio::test]
async fn a_worker_without_slots_is_not_built() {
    let fixture = Fixture::start().await;
    let mut none = fixture.options();
    none.slots = 0;
    let none_of_a_type = with_type(&fixture, "TEST", |of_type| of_type.slots = Some(0));
    for options in [none, none_of_a_type] {
        let worker = fixture.worker().options(options);
        let worker = worker.handler_fn("TEST", |_: Value, _| async { Ok(()) });
        let error = worker.build().unwrap_err().to_string();
        assert!(error.contains("slots"), "{error}");
    }
}
