//! Handlers whose work is done by a program, here the shell.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod ending;
mod exiting;
mod finding;
mod input;
mod logging;
mod outputs;
mod starting;
#[path = "../witness/mod.rs"]
mod witness;

use std::time::Duration;

use reefguide_worker::prelude::*;
use reefguide_worker::testing::{Finished, Harness};
use serde_json::Value;

/// The longest time that a test waits for anything before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

async fn in_time<F: Future>(waiting: F) -> F::Output {
    tokio::time::timeout(PATIENCE, waiting).await.unwrap()
}

fn sh(script: &str) -> Program {
    Program::new("sh").args(["-c", script])
}

/// A handler that runs a program on its payload.
fn harness(program: Program) -> Harness {
    harness_for::<Value>(program)
}

fn harness_for<O>(program: Program) -> Harness
where
    O: serde::de::DeserializeOwned + Serialize + JsonSchema + Send + 'static,
{
    Harness::handler_fn("CORAL", move |input: Value, ctx: JobContext| {
        let program = program.clone();
        async move { program.run::<_, O>(&input, &ctx).await }
    })
}

async fn run(script: &str) -> Result<Finished, JobError> {
    in_time(harness(sh(script)).run(json!({ "reef": 7 }))).await
}

async fn fails(script: &str) -> JobError {
    run(script).await.unwrap_err()
}
