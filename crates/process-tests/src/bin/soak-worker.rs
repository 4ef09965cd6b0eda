//! The worker of the kill test and of the soak: it does what a payload says.

use process_tests::work::{WORK, Work};
use reefguide_worker::prelude::*;

#[tokio::main]
async fn main() -> ExitCode {
    let work = |work: Work, ctx: JobContext| async move { work.run(&ctx).await };
    reefguide_worker::run(Registry::new().handler_fn(WORK, work)).await
}
