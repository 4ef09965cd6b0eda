//! The command line: arguments, signals and exit codes.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anstream::AutoStream;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use reefguide_terminal::Exit;
use reefguide_terminal::stdout::written;
use reefguide_terminal::{Signal, signals};
use reefguide_transport::Chain;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::address;
use crate::command::Command;
use crate::error::{FAILED, UNWRITTEN, USAGE};
use crate::output::Output;

/// Submits jobs to the ReefGuide API, follows them and downloads their outputs
///
/// Log in first. The session is saved for later commands and lasts 48 hours by default.
#[derive(Debug, Parser)]
#[command(name = "reefguide", version, disable_help_subcommand = true, after_long_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Prints JSON, errors included; commands that report step by step print one object per line.
    #[arg(long, global = true)]
    json: bool,
}

const EXIT_CODES: &str = "Exit codes:
  0    done
  1    refused, no such job, a job did not succeed or is still running, something is stuck, or schemas differ
  2    the command line, a setting or an input is wrong; nothing was done
  69   the API or the storage could not be reached, or asks for a pause
  74   the answer or a file could not be written
  77   not logged in, or not allowed
  130  ended by Ctrl-C (129 by SIGHUP, 143 by SIGTERM)";

/// How long blocking work, such as a write or a DNS lookup, may delay the end of the process.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(2);

/// Runs the command with the arguments of this process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return print_clap(&error).into(),
    };
    match Runtime::new() {
        Ok(runtime) => {
            let code = runtime.block_on(run(cli));
            runtime.shutdown_timeout(SHUTDOWN_LIMIT);
            code
        }
        Err(error) => {
            Output { json: cli.json }.error(&error.to_string(), FAILED);
            ExitCode::FAILURE
        }
    }
}

/// Prints what clap returns instead of arguments: help and the version are answers, everything else is an error.
fn print_clap(error: &clap::Error) -> u8 {
    let json = std::env::args_os().any(|argument| argument == "--json");
    let out = Output { json };
    if !error.use_stderr() {
        let printed = error.print().and_then(|()| io::stdout().flush());
        return match written(printed) {
            Ok(()) => 0,
            Err(error) => {
                out.error(&Chain(&error).to_string(), UNWRITTEN);
                UNWRITTEN
            }
        };
    }
    let rendered = error.render();
    if json {
        let text = rendered.to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text).trim();
        out.error(
            match error.kind() {
                ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                    "a command is missing; `--help` lists them"
                }
                _ => text,
            },
            USAGE,
        );
    } else {
        let text = address::redact(rendered.ansi().to_string());
        let _ = AutoStream::auto(io::stderr()).write_all(text.as_bytes());
    }
    USAGE
}

async fn run(Cli { command, json }: Cli) -> ExitCode {
    let out = Output { json };
    // The command is polled first: while it reads a password or input from a terminal, no handler is installed, and
    // Ctrl-C ends the process as usual.
    let done = tokio::select! {
        biased;
        done = Box::pin(command.run(out, Cli::command)) => done,
        code = signalled() => return code.into(),
    };
    done.unwrap_or_else(|error| {
        let code = error.exit_code();
        let mut message = Chain(&error).to_string();
        if let Some(help) = error.help() {
            message = format!("{message}\n  {help}");
        }
        out.error(&message, code);
        code.into()
    })
}

/// Waits for a signal and returns its exit code. The command's future is dropped then and cleans up; a second signal
/// ends the process even if it is blocked because its output is not read.
async fn signalled() -> u8 {
    let stop = CancellationToken::new();
    let Ok(signals) = signals::watch(stop.clone(), || {}) else {
        // Without a handler, a signal ends the process by itself.
        return std::future::pending().await;
    };
    stop.cancelled().await;
    let first = signals.first().unwrap_or(Signal::Terminate);
    Exit::Signalled(first).code()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
