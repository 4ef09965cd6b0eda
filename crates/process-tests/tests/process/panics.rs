//! A panic ends nothing but its job, and is named with its place.

use serde_json::Value;

use crate::program::{Ended, Program, in_time};
use crate::rig::{assert_shown, ended, lab, worker_for};

const ARGS: [&str; 6] = ["handle", "PANIC", "--input", "-", "--output-dir", "out"];

fn unruly() -> Program {
    Program::bare().unruly().env("LOG_FORMAT", "human")
}

async fn panicking(place: &'static str) -> Ended {
    unruly().start_with_input(&ARGS, place).ended().await
}

#[tokio::test]
async fn in_async_code() {
    assert_shown!(panicking(r#""async""#).await.shown());
}

#[tokio::test]
async fn in_a_computation() {
    assert_shown!(panicking(r#""blocking""#).await.shown());
}

#[tokio::test]
async fn in_a_blocking_handler() {
    let args = ARGS.map(|arg| {
        if arg == "PANIC" {
            "BLOCKING_PANIC"
        } else {
            arg
        }
    });
    let ended = unruly().start_with_input(&args, "{}").ended().await;
    assert_shown!(ended.shown());
}

#[tokio::test]
async fn in_a_task_that_is_waited_for() {
    assert_shown!(panicking(r#""spawned""#).await.shown());
}

#[tokio::test]
async fn in_a_blocking_task_that_is_waited_for() {
    assert_shown!(panicking(r#""spawned_blocking""#).await.shown());
}

#[tokio::test]
async fn in_a_task_that_nobody_waits_for_which_fails_nothing() {
    assert_shown!(panicking(r#""detached""#).await.shown());
}

#[tokio::test]
async fn in_a_thread_that_is_waited_for() {
    assert_shown!(panicking(r#""thread""#).await.shown());
}

#[tokio::test]
async fn in_a_destructor_when_the_handler_returns() {
    assert_shown!(panicking(r#""last_drop""#).await.shown());
}

#[tokio::test]
async fn in_a_destructor_when_the_job_is_cancelled() {
    let program = unruly();
    let mut worker = program.start_with_input(&ARGS, r#""drop""#);
    worker.says("job progress").await;
    worker.signal("TERM").await;
    assert_shown!(worker.ended().await.shown());
}

#[tokio::test]
async fn a_worker_goes_on_after_every_kind_of_panic() {
    let lab = lab().await;
    let places = [
        "async",
        "blocking",
        "spawned",
        "spawned_blocking",
        "thread",
        "last_drop",
    ];
    let submit = |place: &str| lab.submit("PANIC", place.into()).unwrap();
    let jobs = places.map(submit);
    let harmless = ["detached", "nowhere"].map(submit);
    let program = worker_for(&lab).unruly().env("MAX_CONCURRENT_JOBS", "3");
    let worker = program.start(&[]);
    for job in jobs {
        assert_eq!(ended(&lab, job).await, "FAILED");
    }
    for job in harmless {
        assert_eq!(ended(&lab, job).await, "SUCCEEDED");
    }
    worker.signal("TERM").await;
    let ended = in_time(worker.ended()).await;
    assert_eq!(ended.code, Some(0));
    let log = ended.log();
    let panicked = |line: &&Value| line["message"] == "panicked" && line["location"].is_string();
    assert_eq!(log.iter().filter(panicked).count(), jobs.len() + 1);
}
