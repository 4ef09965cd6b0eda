//! A worker for two job types. `example-worker --help` says what it can do.

mod handlers;

use reefguide_worker::prelude::*;

#[tokio::main]
async fn main() -> ExitCode {
    handlers::register(Worker::builder()).main().await
}
