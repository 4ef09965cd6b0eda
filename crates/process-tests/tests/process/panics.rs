//! A panic fails only its own job, and its place is logged.

use serde_json::Value;

use crate::fixture::{assert_shown, final_status, lab, worker_for};
use crate::program::{Exited, Program, in_time};

const ARGS: [&str; 6] = ["handle", "PANIC", "--input", "-", "--output-dir", "out"];

fn unruly() -> Program {
    Program::bare().unruly().env("LOG_FORMAT", "human")
}

async fn panicking(place: &'static str) -> Exited {
    unruly().start_with_input(&ARGS, place).exited().await
}

#[tokio::test]
async fn a_panic_in_async_code_fails_the_job() {
    assert_shown!(panicking(r#""async""#).await.shown());
}

#[tokio::test]
async fn a_panic_in_a_computation_fails_the_job() {
    assert_shown!(panicking(r#""blocking""#).await.shown());
}

#[tokio::test]
async fn a_panic_in_a_blocking_handler_fails_the_job() {
    let args = ARGS.map(|arg| {
        if arg == "PANIC" {
            "BLOCKING_PANIC"
        } else {
            arg
        }
    });
    let exited = unruly().start_with_input(&args, "{}").exited().await;
    assert_shown!(exited.shown());
}

#[tokio::test]
async fn a_panic_in_an_awaited_task_fails_the_job() {
    assert_shown!(panicking(r#""spawned""#).await.shown());
}

#[tokio::test]
async fn a_panic_in_an_awaited_blocking_task_fails_the_job() {
    assert_shown!(panicking(r#""spawned_blocking""#).await.shown());
}

#[tokio::test]
async fn a_panic_in_a_detached_task_fails_nothing() {
    assert_shown!(panicking(r#""detached""#).await.shown());
}

#[tokio::test]
async fn a_panic_in_a_joined_thread_fails_the_job() {
    assert_shown!(panicking(r#""thread""#).await.shown());
}

#[tokio::test]
async fn a_panic_in_a_destructor_fails_the_job_when_the_handler_returns() {
    assert_shown!(panicking(r#""last_drop""#).await.shown());
}

#[tokio::test]
async fn a_panic_in_a_destructor_fails_the_job_when_it_is_cancelled() {
    let program = unruly();
    let mut worker = program.start_with_input(&ARGS, r#""drop""#);
    worker.logs("job progress").await;
    assert_shown!(worker.stop().await.shown());
}

#[tokio::test]
async fn a_worker_continues_after_every_kind_of_panic() {
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
        assert_eq!(final_status(&lab, job).await, "FAILED");
    }
    for job in harmless {
        assert_eq!(final_status(&lab, job).await, "SUCCEEDED");
    }
    worker.signal("TERM").await;
    let exited = in_time(worker.exited()).await;
    assert_eq!(exited.code, Some(0));
    let log = exited.log();
    let panicked = |line: &&Value| line["message"] == "panicked" && line["location"].is_string();
    assert_eq!(log.iter().filter(panicked).count(), jobs.len() + 1);
}
