//! How a program ends: cancelled, dropped, or with processes left running.

#[cfg(target_os = "linux")]
use std::path::Path;
use std::sync::{Arc, Mutex};

use reefguide_worker::prelude::*;
use reefguide_worker::testing::Harness;
#[cfg(target_os = "linux")]
use rustix::process::Pid;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::witness::Witness;
use crate::{harness, in_time};

/// Runs a program and cancels it, as a shutdown does, once it writes `begun`. Returns its error, or `None` if it was
/// dropped before it had one, and the lines that it wrote after that.
async fn cancelled(script: &str) -> (Option<String>, Vec<String>) {
    let mut witness = Witness::new();
    let program = witness.watch(script);
    let stop = CancellationToken::new();
    let (sender, error) = oneshot::channel();
    let sender = Arc::new(Mutex::new(Some(sender)));
    let harness = Harness::handler_fn("CORAL", move |input: Value, ctx: JobContext| {
        let (program, sender) = (program.clone(), sender.clone());
        async move {
            let error = program.run::<_, Value>(&input, &ctx).await.unwrap_err();
            let sender = sender.lock().unwrap().take().unwrap();
            sender.send(error.to_string()).unwrap();
            Err::<(), _>(error)
        }
    });
    let harness = harness.cancellation(stop.clone());
    let run = tokio::spawn(async move { harness.run(json!({})).await });
    assert_eq!(witness.says().await, "begun");
    stop.cancel();
    let ended = in_time(run).await.unwrap().unwrap_err().to_string();
    assert_eq!(ended, "cancelled: the worker is shutting down");
    (error.await.ok(), witness.gone().await)
}

#[tokio::test]
async fn a_cancelled_program_may_clean_up() {
    let script = "trap 'echo clean >&9; exit 1' TERM; echo begun >&9; sleep 600 & wait";
    let (error, lines) = cancelled(script).await;
    assert_eq!(error.unwrap(), "cancelled");
    assert_eq!(lines, ["clean"]);
}

#[tokio::test]
async fn a_cancelled_program_that_ignores_the_signal_is_killed_with_everything_it_started() {
    let script = "trap '' TERM; (trap '' TERM; sleep 600) & echo begun >&9; sleep 600";
    let (error, lines) = cancelled(script).await;
    assert_eq!(error.unwrap(), "cancelled");
    assert!(lines.is_empty(), "{lines:?}");
}

#[tokio::test]
async fn a_dropped_run_kills_the_program_and_everything_it_started() {
    let mut witness = Witness::new();
    let script = "trap 'echo asked >&9' TERM; sleep 600 & echo begun >&9; sleep 600";
    let program = witness.watch(script);
    let drop_it = CancellationToken::new();
    let dropped = drop_it.clone();
    let harness = Harness::handler_fn("CORAL", move |input: Value, ctx: JobContext| {
        let (program, dropped) = (program.clone(), dropped.clone());
        async move {
            let run = program.run::<_, Value>(&input, &ctx);
            Ok(dropped.run_until_cancelled(run).await.is_none())
        }
    });
    let run = tokio::spawn(async move { harness.run(json!({})).await });
    assert_eq!(witness.says().await, "begun");
    drop_it.cancel();
    assert_eq!(in_time(run).await.unwrap().unwrap().result(), true);
    let lines = witness.gone().await;
    assert!(lines.is_empty(), "{lines:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn processes_that_a_program_leaves_running_are_killed_and_reaped() {
    // As in a container whose first process is the worker, orphans become children of this process.
    rustix::process::set_child_subreaper(Some(Pid::INIT)).unwrap();
    let witness = Witness::new();
    let script = "sleep 600 & echo $! >\"$JOB_RESULT\"; echo last";
    let finished = in_time(harness(witness.watch(script)).run(json!({})))
        .await
        .unwrap();
    witness.gone().await;
    assert!(!Path::new(&format!("/proc/{}", finished.result())).exists());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_process_that_left_the_group_does_not_hold_up_the_job() {
    let witness = Witness::new();
    let script = r#"
        setsid sh -c 'echo $$ >"$JOB_RESULT"; exec sleep 600' &
        until [ -s "$JOB_RESULT" ]; do sleep 0.01; done
    "#;
    let harness = harness(witness.watch(script));
    let finished = in_time(harness.run(json!({}))).await.unwrap();
    let left = finished.result().as_i64().unwrap();
    let left = Pid::from_raw(left.try_into().unwrap()).unwrap();
    rustix::process::kill_process(left, rustix::process::Signal::KILL).unwrap();
    witness.gone().await;
}
