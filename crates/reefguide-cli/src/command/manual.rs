//! `completions` and `man`: what shells and readers are told of the command line, from its definition.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde_json::json;

use crate::error::CliError;
use crate::{Cli, output};

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> bool {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "reefguide", &mut script);
        output::say(format_args!(
            "{}",
            String::from_utf8_lossy(&script).trim_end()
        ));
        true
    }
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Folder for the pages; made if it is missing.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

impl Man {
    pub(super) fn run(self, json: bool) -> Result<bool, CliError> {
        let Self { to: folder } = self;
        let written = std::fs::create_dir_all(&folder)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), &folder));
        if let Err(source) = written {
            return Err(CliError::Man { folder, source });
        }
        let shown = folder.display();
        let said = json!({ "folder": folder });
        output::print(json, &said, |_| {
            format!("man pages are in {shown}; `man {shown}/reefguide.1` shows the first")
        });
        Ok(true)
    }
}
