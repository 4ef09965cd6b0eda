//! What happens to a job whose handler fails, panics or has to be stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reefguide_lab::{Fault, JobTypeSpec, Lab, RequestRecord, Route};
use reefguide_worker::prelude::*;
use reefguide_worker::retry::RetryPolicy;
use serde_json::Value;

use crate::fixture::{Fixture, Log, Running, in_time, storage_of};

#[derive(Deserialize, JsonSchema)]
struct Input {
    #[expect(dead_code, reason = "only its form matters")]
    count: u8,
}

#[tokio::test]
async fn outputs_are_stored_before_success_is_reported() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let worker = fixture
        .worker()
        .handler_fn("TEST", |_: Value, ctx: JobContext| async move {
            ctx.outputs().write("a.txt", "a").await?;
            ctx.outputs().write("charts/b.txt", "b").await?;
            Ok(json!({}))
        });
    let worker = Running::start(worker);
    assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    worker.stop().await;
    assert_eq!(fixture.outputs(job).await, ["a.txt", "charts/b.txt"]);
    let routes: Vec<_> = fixture
        .lab
        .requests()
        .iter()
        .map(|request| request.route)
        .collect();
    let last_put = routes
        .iter()
        .rposition(|route| *route == Route::S3Put)
        .unwrap();
    let result = routes
        .iter()
        .position(|route| *route == Route::Result)
        .unwrap();
    assert!(last_put < result, "{routes:?}");
    assert!(fixture.scratch_is_empty());
}

#[tokio::test]
async fn a_job_whose_outputs_cannot_be_stored_has_failed_and_shows_none() {
    let fixture = Fixture::start().await;
    fixture
        .lab
        .faults()
        .add(Fault::status(Route::S3Put, 403).after(1));
    let job = fixture.submit_test(1);
    let worker = fixture
        .worker()
        .handler_fn("TEST", |_: Value, ctx: JobContext| async move {
            for name in ["a", "b", "c"] {
                ctx.outputs().write(name, name).await?;
            }
            Ok(())
        });
    let worker = Running::start(worker);
    assert_eq!(fixture.ended(job).await, "FAILED");
    worker.stop().await;
    fixture.lab.faults().clear();
    assert_eq!(fixture.outputs(job).await, Vec::<String>::new());
}

#[tokio::test]
async fn outputs_are_stored_once_an_outage_of_the_storage_is_over() {
    let fixture = Fixture::start().await;
    // More failures than the client's own tries.
    fixture
        .lab
        .faults()
        .add(Fault::status(Route::S3Put, 503).times(5));
    let job = fixture.submit_test(1);
    let worker = fixture
        .worker()
        .handler_fn("TEST", |_: Value, ctx: JobContext| async move {
            ctx.outputs().write("a", "a").await?;
            Ok(())
        });
    let worker = Running::start(worker);
    assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    worker.stop().await;
    assert_eq!(fixture.outputs(job).await, ["a"]);
}

#[tokio::test]
async fn a_job_whose_bucket_does_not_exist_has_failed() {
    let fixture = Fixture::start().await;
    let elsewhere = Lab::builder()
        .bucket("another-bucket")
        .start()
        .await
        .unwrap();
    let job = fixture.submit_test(1);
    let worker = fixture.worker().storage(storage_of(&elsewhere));
    let worker = Running::start(worker.handler_fn(
        "TEST",
        |_: Value, ctx: JobContext| async move {
            ctx.outputs().write("a", "a").await?;
            Ok(())
        },
    ));
    assert_eq!(fixture.ended(job).await, "FAILED");
    worker.stop().await;
}

#[tokio::test]
async fn a_panic_fails_its_job_and_the_worker_goes_on() {
    let fixture = Fixture::start().await;
    let (bad, good) = (fixture.submit_test(13), fixture.submit_test(7));
    let worker =
        fixture
            .worker()
            .handler_fn("TEST", |payload: Value, ctx: JobContext| async move {
                let unlucky = payload["id"] == 13;
                ctx.blocking(move || {
                    assert!(!unlucky, "13 brings bad luck");
                    Ok(())
                })
                .await
            });
    let worker = Running::start(worker);
    assert_eq!(fixture.ended(bad).await, "FAILED");
    assert_eq!(fixture.ended(good).await, "SUCCEEDED");
    let stopped = worker.stop().await;
    assert_eq!((stopped.jobs.succeeded, stopped.jobs.failed), (1, 1));
    assert!(fixture.scratch_is_empty());
}

#[tokio::test]
async fn a_payload_that_does_not_fit_the_handlers_input_fails_the_job() {
    let fixture = Fixture::with(Lab::builder().any_job_type()).await;
    let job = fixture.submit("COUNT", json!({ "count": 300 }));
    let worker = fixture
        .worker()
        .handler_fn("COUNT", |_: Input, _| async { Ok(()) });
    let worker = Running::start(worker);
    assert_eq!(fixture.ended(job).await, "FAILED");
    worker.stop().await;
}

#[tokio::test]
async fn an_output_path_that_leaves_the_folder_fails_the_job() {
    let fixture = Fixture::start().await;
    for (id, path) in ["../x", "/etc/x", "a/../../x", ""].into_iter().enumerate() {
        let job = fixture.submit_test(i64::try_from(id).unwrap());
        let worker =
            fixture
                .worker()
                .handler_fn("TEST", move |_: Value, ctx: JobContext| async move {
                    ctx.outputs().write(path, "x").await?;
                    Ok(())
                });
        let worker = Running::start(worker);
        assert_eq!(fixture.ended(job).await, "FAILED", "{path:?}");
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_result_that_the_api_would_refuse_fails_the_job_before_anything_is_stored() {
    let fixture = Fixture::with(Lab::builder().any_job_type()).await;
    for result in [
        json!({ "large": "x".repeat(102_400) }),
        json!({ "nul": "a\0b" }),
    ] {
        let job = fixture.submit("LARGE", json!({ "length": result.to_string().len() }));
        let worker = fixture
            .worker()
            .handler_fn("LARGE", move |_: Value, ctx: JobContext| {
                let result = result.clone();
                async move {
                    ctx.outputs().write("a", "a").await?;
                    Ok(result)
                }
            });
        let worker = Running::start(worker);
        assert_eq!(fixture.ended(job).await, "FAILED");
        worker.stop().await;
    }
    let stored = |request: &RequestRecord| request.path.contains("/results/");
    assert!(!fixture.lab.requests().iter().any(stored));
}

#[tokio::test]
async fn a_result_that_the_api_refuses_becomes_a_failure() {
    let fixture = Fixture::start().await;
    let payload = json!({ "region": "R", "reef_type": "slopes", "x_dist": 1, "y_dist": 2 });
    for result in [json!({ "wrong": "key" }), Value::Null] {
        let job = fixture.submit("SUITABILITY_ASSESSMENT", payload.clone());
        let worker = fixture
            .worker()
            .handler_fn("SUITABILITY_ASSESSMENT", move |_: Value, _| {
                let result = result.clone();
                async move { Ok(result) }
            });
        let worker = Running::start(worker);
        assert_eq!(fixture.ended(job).await, "FAILED");
        worker.stop().await;
    }
}

#[tokio::test]
async fn a_retryable_error_is_tried_again_with_empty_folders() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let mut options = fixture.options();
    options.handler_retry = RetryPolicy::new(Duration::from_millis(1)).tries(3);
    let tries = Arc::new(AtomicUsize::new(0));
    let counter = tries.clone();
    let worker = fixture.worker().options(options);
    let worker = worker.handler_fn("TEST", move |_: Value, ctx: JobContext| {
        counter.fetch_add(1, Ordering::Relaxed);
        async move {
            let name = format!("try-{}", ctx.attempt());
            ctx.outputs().write(&name, "x").await?;
            let run = ctx.scratch().ancestors().nth(2).unwrap();
            assert_eq!(
                std::fs::read_dir(run)?.count(),
                1,
                "an earlier try left something"
            );
            assert!(
                std::fs::read_dir(ctx.scratch())?.next().is_none(),
                "scratch is not empty"
            );
            std::fs::write(ctx.scratch().join(name), "x")?;
            match ctx.attempt() {
                3 => Ok(()),
                _ => Err(JobError::retryable("not yet")),
            }
        }
    });
    let worker = Running::start(worker);
    assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    worker.stop().await;
    assert_eq!(tries.load(Ordering::Relaxed), 3);
    assert_eq!(fixture.outputs(job).await, ["try-3"]);
}

#[tokio::test]
async fn a_permanent_error_is_not_tried_again() {
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let tries = Arc::new(AtomicUsize::new(0));
    let counter = tries.clone();
    let worker = fixture.worker().handler_fn("TEST", move |_: Value, _| {
        counter.fetch_add(1, Ordering::Relaxed);
        async { Err::<(), _>(JobError::permanent("never")) }
    });
    let worker = Running::start(worker);
    assert_eq!(fixture.ended(job).await, "FAILED");
    worker.stop().await;
    assert_eq!(tries.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_handler_is_cancelled_at_its_deadline_and_the_job_has_failed() {
    let spec = JobTypeSpec::new("SLOW").expiry(Duration::from_secs(2));
    let fixture = Fixture::with(Lab::builder().job_type(spec)).await;
    let job = fixture.submit("SLOW", json!({}));
    let mut options = fixture.options();
    options.deadline_margin = Duration::from_millis(1_500);
    let cancelled = Arc::new(AtomicUsize::new(0));
    let counter = cancelled.clone();
    let worker = fixture.worker().options(options);
    let worker = worker.handler_fn("SLOW", move |_: Value, ctx: JobContext| {
        let counter = counter.clone();
        async move {
            ctx.cancellation().cancelled().await;
            counter.fetch_add(1, Ordering::Relaxed);
            // The result of a cancelled handler is ignored.
            Ok(())
        }
    });
    let worker = Running::start(worker);
    assert_eq!(fixture.ended(job).await, "FAILED");
    worker.stop().await;
    assert_eq!(cancelled.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn as_many_jobs_run_at_once_as_there_are_slots() {
    let fixture = Fixture::start().await;
    let jobs: Vec<_> = (0..3).map(|id| fixture.submit_test(id)).collect();
    let mut options = fixture.options();
    options.slots = 3;
    let together = Arc::new(tokio::sync::Barrier::new(3));
    let worker = fixture.worker().options(options);
    let worker = worker.handler_fn("TEST", move |_: Value, _| {
        let together = together.clone();
        async move {
            in_time(together.wait()).await;
            Ok(())
        }
    });
    let worker = Running::start(worker);
    for job in jobs {
        assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    }
    worker.stop().await;
}

#[tokio::test]
async fn one_slot_runs_one_job_at_a_time() {
    let fixture = Fixture::start().await;
    let jobs: Vec<_> = (0..4).map(|id| fixture.submit_test(id)).collect();
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, peak) = (running.clone(), most.clone());
    let worker = fixture.worker().handler_fn("TEST", move |_: Value, _| {
        let (now, peak) = (now.clone(), peak.clone());
        async move {
            peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(())
        }
    });
    let worker = Running::start(worker);
    for job in jobs {
        assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    }
    worker.stop().await;
    assert_eq!(most.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_long_queue_of_one_type_does_not_hide_jobs_of_another() {
    let fixture = Fixture::with(Lab::builder().any_job_type()).await;
    for id in 0..15 {
        fixture.submit("CROWD", json!({ "id": id }));
    }
    let job = fixture.submit_test(1);
    let worker = fixture
        .worker()
        .handler_fn("TEST", |_: Value, _| async { Ok(()) });
    let worker = Running::start(worker);
    assert_eq!(fixture.ended(job).await, "SUCCEEDED");
    worker.stop().await;
}

#[tokio::test]
async fn more_files_than_users_can_be_shown_are_stored_with_a_warning() {
    let log = Log::new();
    let fixture = Fixture::start().await;
    for (files, warnings) in [(25, 0), (26, 1)] {
        let job = fixture.submit_test(files);
        let worker = fixture.worker();
        let worker = worker.handler_fn("TEST", |payload: Value, ctx: JobContext| async move {
            for nth in 0..payload["id"].as_i64().unwrap_or_default() {
                ctx.outputs().write(&format!("{nth}.txt"), "x").await?;
            }
            Ok(())
        });
        let worker = Running::start(worker);
        assert_eq!(fixture.ended(job).await, "SUCCEEDED");
        worker.stop().await;
        assert_eq!(
            fixture.outputs(job).await.len(),
            usize::try_from(files).unwrap()
        );
        let warned = log.lines("more output files than users can be shown");
        assert_eq!(warned.len(), warnings, "{warned:?}");
    }
}

#[tokio::test]
async fn a_handler_sees_the_transfers_of_its_own_attempt_only() {
    let fixture = Fixture::start().await;
    let worker = fixture
        .worker()
        .handler_fn("TEST", |_: Value, ctx: JobContext| async move {
            let to = ctx.assignment().storage_uri.parse::<StorageUri>()?;
            let to = to.join("own")?;
            ctx.storage().upload_bytes("0123456789", &to).await?;
            let moved = ctx.transfers().now();
            if (moved.files, moved.bytes) != (1, 10) {
                return Err(JobError::permanent(moved.to_string()));
            }
            Ok(())
        });
    let worker = Running::start(worker);
    for id in 0..2 {
        assert_eq!(fixture.ended(fixture.submit_test(id)).await, "SUCCEEDED");
    }
    worker.stop().await;
}

#[tokio::test]
async fn a_handler_is_not_tried_again_once_the_worker_stops() {
    const HOUR: Duration = Duration::from_secs(3600);
    let log = Log::new();
    let fixture = Fixture::start().await;
    let job = fixture.submit_test(1);
    let mut options = fixture.options();
    options.handler_retry = RetryPolicy::new(HOUR).cap(HOUR).tries(3);
    options.shutdown_grace = Duration::from_secs(2);
    let (tried, mut tries) = tokio::sync::mpsc::unbounded_channel();
    let worker = fixture.worker().options(options);
    let worker = Running::start(worker.handler_fn("TEST", move |_: Value, _| {
        tried.send(()).unwrap();
        async { Err::<(), _>(JobError::retryable("not yet")) }
    }));
    in_time(tries.recv()).await.unwrap();
    worker.stop().await;
    assert_eq!(fixture.status(job), "FAILED");
    assert!(tries.try_recv().is_err(), "tried again at once");
    let failed = log.lines("job failed");
    assert!(
        failed[0].contains("not yet (not tried again: "),
        "{failed:?}"
    );
}
