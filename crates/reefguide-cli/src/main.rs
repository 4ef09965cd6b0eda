//! `reefguide`: submit jobs to the ReefGuide API, see what becomes of them, fetch what they made.

mod command;
mod error;
mod output;
mod patience;
mod session;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use reefguide_worker::Chain;
use reefguide_worker::service::exit::Exit;
use reefguide_worker::service::signals::{self, Signal};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

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
  1    refused, no such job, a watched job did not succeed, something is stuck, or schemas differ
  2    the command line or an input is wrong; nothing was done
  69   the API or the storage could not be reached
  77   not logged in, or not allowed
  130  ended by Ctrl-C (129 by SIGHUP, 143 by SIGTERM)";

/// How long what is under way when a command ends may take, such as a last write or looking up a name.
const LAST_WORK: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let cli = Cli::parse();
    match Runtime::new() {
        Ok(runtime) => {
            let code = runtime.block_on(run(cli));
            runtime.shutdown_timeout(LAST_WORK);
            code
        }
        Err(error) => {
            output::note(format_args!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(Cli { command, json }: Cli) -> ExitCode {
    // The command goes first: a question for a password, or input from a terminal, is there before anybody
    // listens to signals, and so ends as it does in every program.
    let done = tokio::select! {
        biased;
        done = Box::pin(command.run(json)) => done,
        code = signalled() => return code.into(),
    };
    done.unwrap_or_else(|error| {
        let (chain, code) = (Chain(&error).to_string(), error.exit_code());
        match json {
            true => output::note(format_args!(
                "{}",
                json!({ "error": chain, "exitCode": code })
            )),
            false => output::note(format_args!("error: {chain}")),
        }
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
