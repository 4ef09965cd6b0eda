//! The lab: the job API and an S3 server on this machine, in the version that the worker is built with.
//!
//! `cargo run --example lab -- --help` lists its commands.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    reefguide_lab::main().await
}
