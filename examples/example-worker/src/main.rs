//! An example: one trivial job type and one that does real work.
//!
//! `cargo run -- --help` lists the commands of the program.

mod handlers;

use reefguide_worker::prelude::*;

#[tokio::main]
async fn main() -> ExitCode {
    reefguide_worker::run(handlers::registry())
        .version(env!("CARGO_PKG_VERSION"))
        .await
}
