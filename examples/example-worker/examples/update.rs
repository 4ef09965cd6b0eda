//! Updates this worker to the template of another release: `just update v0.2.0`.
//!
//! `cargo run --example update -- --help` explains it. It needs git and cargo-generate.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    reefguide_lab::update::main().await
}
