//! The `reefguide-lab` command.

mod client;
mod fault;
mod stdout;
mod submit;
mod text;
mod up;

use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use self::stdout::{StdoutError, written};
use crate::error::{chain, sources};

/// The ReefGuide job API and an S3 server on this machine, for developing and testing workers.
///
/// For development and tests only: passwords are public, and nothing is protected.
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
    /// Submit a job to a running lab, without an account
    Submit(submit::Submit),
    /// Set a fault on a running lab
    Fault(fault::FaultCommand),
}

/// The whole `reefguide-lab` command: it reads the process's arguments and writes to its stdout and stderr.
///
/// With it, a worker's project can run the lab that it is built with, without installing the command. An example with these
/// lines is enough:
///
/// ```no_run
/// #[tokio::main]
/// async fn main() -> std::process::ExitCode {
///     reefguide_lab::main().await
/// }
/// ```
///
/// It installs the process's `tracing` subscriber. The exit code is 0 on success, 2 if the arguments are wrong, 74 if the
/// output could not be written to stdout, and 1 for all other errors.
pub async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "error".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // They would be written to stderr, which is what failed.
        .log_internal_errors(false)
        .init();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return unparsed(&error),
    };
    let result = match arguments.command {
        Command::Up(up) => up.run().await.map(|()| ExitCode::SUCCESS),
        Command::Submit(submit) => submit.run().await,
        Command::Fault(fault) => fault.run().await.map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        print_error(error.as_ref());
        match sources(error.as_ref()).any(<dyn Error>::is::<StdoutError>) {
            true => UNWRITTEN.into(),
            false => ExitCode::FAILURE,
        }
    })
}

/// The exit code if the output could not be written.
const UNWRITTEN: u8 = 74;

/// Prints what clap returned: the help or the version, or an error in the arguments.
fn unparsed(error: &clap::Error) -> ExitCode {
    let printed = error.print().and_then(|()| io::stdout().flush());
    match (error.use_stderr(), written(printed)) {
        (true, _) => 2.into(),
        (false, Ok(())) => ExitCode::SUCCESS,
        (false, Err(error)) => {
            print_error(&error);
            UNWRITTEN.into()
        }
    }
}

/// Prints an error and its sources on one line. stderr may have no reader.
fn print_error(error: &(dyn Error + 'static)) {
    let _ = writeln!(io::stderr(), "error: {}", chain(error));
}
