//! The `reefguide-lab` command.

mod client;
mod fault;
mod stdout;
mod submit;
mod text;
mod up;

use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use self::stdout::{StdoutError, written};

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
/// It installs the process's `tracing` subscriber. The exit code is 0 if all went well, 2 if the arguments are wrong, 74 if
/// the answer could not be written to stdout, and 1 for everything else.
pub async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "error".into());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would say so on stderr, which is where it cannot write.
        .log_internal_errors(false)
        .init();
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return unparsed(&error),
    };
    let outcome = match arguments.command {
        Command::Up(up) => up.run().await.map(|()| ExitCode::SUCCESS),
        Command::Submit(submit) => submit.run().await,
        Command::Fault(fault) => fault.run().await.map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        complain(error.as_ref());
        let mut causes = std::iter::successors(Some(error.as_ref() as &dyn Error), |error| {
            (*error).source()
        });
        match causes.any(<dyn Error>::is::<StdoutError>) {
            true => UNWRITTEN.into(),
            false => ExitCode::FAILURE,
        }
    })
}

/// The exit code of an answer that could not be written.
const UNWRITTEN: u8 = 74;

/// Help and version are answers, everything else is wrong.
fn unparsed(error: &clap::Error) -> ExitCode {
    let printed = error.print().and_then(|()| io::stdout().flush());
    match (error.use_stderr(), written(printed)) {
        (true, _) => 2.into(),
        (false, Ok(())) => ExitCode::SUCCESS,
        (false, Err(error)) => {
            complain(&error);
            UNWRITTEN.into()
        }
    }
}

/// Prints an error; stderr may have no reader.
fn complain(error: &(dyn Error + 'static)) {
    let _ = writeln!(io::stderr(), "error: {}", Lines(error));
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
