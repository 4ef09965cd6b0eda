//! The `reefguide-lab` command.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    reefguide_lab::main().await
}
