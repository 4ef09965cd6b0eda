//! The lab, at the version that this worker is built with: the job API and an S3 server on this machine.
//!
//! `cargo run --example lab -- --help` says what it can do.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    reefguide_lab::main().await
}
