//! `reefguide`: the command line of [`reefguide_cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    reefguide_cli::main()
}
