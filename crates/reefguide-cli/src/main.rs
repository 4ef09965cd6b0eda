//! `reefguide`: submit jobs to the ReefGuide API, see what becomes of them, fetch what they made.

mod address;
mod command;
mod error;
mod files;
mod input;
mod output;
mod patience;
mod session;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anstream::AutoStream;
use clap::Parser;
use clap::error::ErrorKind;
use reefguide_terminal::Exit;
use reefguide_terminal::stdout::written;
use reefguide_terminal::{Signal, signals};
use reefguide_transport::Chain;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::error::{FAILED, UNWRITTEN, USAGE};
use crate::output::Output;

/// Submits jobs to the ReefGuide API, shows what becomes of them, and downloads what they made.
///
/// Log in first; the session is kept for later commands, for 48 hours by default.
#[derive(Debug, Parser)]
#[command(name = "reefguide", version, disable_help_subcommand = true, after_long_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: command::Command,
    /// Prints JSON, errors too; one object a line where the output comes bit by bit.
    #[arg(long, global = true)]
    json: bool,
}

const EXIT_CODES: &str = "Exit codes:
  0    done
  1    refused, no such job, a job did not succeed or runs on, something is stuck, or schemas differ
  2    the command line, a setting or an input is wrong; nothing was done
  69   the API or the storage could not be reached, or asks for a pause
  74   the answer or a file could not be written
  77   not logged in, or not allowed
  130  ended by Ctrl-C (129 by SIGHUP, 143 by SIGTERM)";

/// How long what is under way when a command ends may take, such as a last write or looking up a name.
const LAST_WORK: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return unparsed(&error).into(),
    };
    match Runtime::new() {
        Ok(runtime) => {
            let code = runtime.block_on(run(cli));
            runtime.shutdown_timeout(LAST_WORK);
            code
        }
        Err(error) => {
            Output { json: cli.json }.error(&error.to_string(), FAILED);
            ExitCode::FAILURE
        }
    }
}

/// Help and version are answers, everything else is wrong.
fn unparsed(error: &clap::Error) -> u8 {
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
        let text = address::without_user(rendered.ansi().to_string());
        let _ = AutoStream::auto(io::stderr()).write_all(text.as_bytes());
    }
    USAGE
}

async fn run(Cli { command, json }: Cli) -> ExitCode {
    let out = Output { json };
    // The command goes first: a question for a password, or input from a terminal, is there before anybody
    // listens to signals, and so ends as it does in every program.
    let done = tokio::select! {
        biased;
        done = Box::pin(command.run(out)) => done,
        code = signalled() => return code.into(),
    };
    done.unwrap_or_else(|error| {
        let code = error.exit_code();
        out.error(&Chain(&error).to_string(), code);
        code.into()
    })
}

/// The exit code of the signal that asks for the end. What is dropped then cleans up after itself; a second signal ends
/// a command that waits for somebody to read what it prints.
async fn signalled() -> u8 {
    let stop = CancellationToken::new();
    let Ok(signals) = signals::watch(stop.clone(), || {}) else {
        // Then a signal ends the process by itself.
        return std::future::pending().await;
    };
    stop.cancelled().await;
    let first = signals.first().unwrap_or(Signal::Terminate);
    Exit::Signalled(first).code()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
