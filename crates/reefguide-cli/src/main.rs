//! `reefguide`: submit jobs to the ReefGuide API and see what becomes of them.

mod command;
mod doctor;
mod error;
mod session;
mod show;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;

/// Submits jobs to the ReefGuide API and shows what becomes of them.
///
/// Log in first; the session is kept for later commands, for 48 hours by default.
#[derive(Debug, Parser)]
#[command(name = "reefguide", version, disable_help_subcommand = true, after_long_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: command::Command,
}

const EXIT_CODES: &str = "Exit codes:
  0   done
  1   refused, no such job, a watched job did not succeed, or a claim is not settled
  2   the command line is wrong
  69  the API could not be reached
  77  not logged in, or not allowed";

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().command.run().await {
        Ok(code) => code,
        Err(error) => {
            let chain = reefguide_worker::Chain(&error);
            // Nobody may be reading.
            let _ = writeln!(std::io::stderr(), "error: {chain}");
            error.exit_code()
        }
    }
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
