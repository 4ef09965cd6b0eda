//! The `reefguide-lab` command.

mod client;
mod fault;
mod submit;
mod up;

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// The ReefGuide job API and an S3 server on this machine, for developing and testing workers.
///
/// For development and tests only: passwords are public, and nothing is guarded.
#[derive(Debug, Parser)]
#[command(name = "reefguide-lab", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What the command can do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Start a lab and show its requests until Ctrl-C
    Up(up::Up),
    /// Give a job to a running lab, with no account
    Submit(submit::Submit),
    /// Set a fault dial of a running lab
    Fault(fault::SetFault),
}

/// The `reefguide-lab` command as a whole: reads the process's arguments and writes to its stdout and stderr.
///
/// A worker's project runs the lab it is built with, with nothing installed, from an example of these lines:
///
/// ```no_run
/// #[tokio::main]
/// async fn main() -> std::process::ExitCode {
///     reefguide_lab::main().await
/// }
/// ```
///
/// It installs the process's `tracing` subscriber, and ends the process itself when the arguments are wrong or ask for
/// help.
pub async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "error".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let outcome = match Arguments::parse().command {
        Command::Up(up) => up.run().await.map(|()| ExitCode::SUCCESS),
        Command::Submit(submit) => submit.run().await,
        Command::Fault(fault) => fault.run().await.map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {}", Lines(error.as_ref() as &dyn Error));
        ExitCode::FAILURE
    })
}

/// An error with everything that led to it, on one line.
struct Lines<'a>(&'a dyn Error);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
