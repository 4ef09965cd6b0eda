//! The `reefguide-lab` command.

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;

mod command;

use command::{Command, Lines};

/// The ReefGuide job API and an S3 server on this machine, for developing and testing workers.
///
/// For development and tests only: passwords are public, and nothing is guarded.
#[derive(Debug, Parser)]
#[command(name = "reefguide-lab", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| "error".into()),
        )
        .with_writer(std::io::stderr)
        .init();
    let outcome = match Arguments::parse().command {
        Command::Up(up) => up.run().await,
        Command::Fault(fault) => fault.run().await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", Lines(error.as_ref() as &dyn Error));
            ExitCode::FAILURE
        }
    }
}
