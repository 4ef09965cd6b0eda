//! The worker of the kill tests and of the soak: a job's payload says what the handler does.

use process_tests::work::{WORK, Work};
use reefguide_worker::prelude::*;

#[tokio::main]
async fn main() -> ExitCode {
    let work = |work: Work, ctx: JobContext| async move { work.run(&ctx).await };
    reefguide_worker::run(Registry::new().handler_fn(WORK, work)).await
}
