//! `completions` and `man`: what shells and readers are told of the command line, from its definition.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use reefguide_terminal::stdout::answer;
use serde_json::json;

use crate::error::CliError;
use crate::files::unwritable;
use crate::output::Output;
use crate::{Cli, input};

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<bool, CliError> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "reefguide", &mut script);
        answer(String::from_utf8_lossy(&script).trim_end())?;
        Ok(true)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Folder for the pages; made if it is missing.
    #[arg(long, value_name = "DIR", value_parser = input::path())]
    to: PathBuf,
}

impl Man {
    pub(super) fn run(self, out: Output) -> Result<bool, CliError> {
        let Self { to: folder } = self;
        write_pages(&folder).map_err(unwritable(&folder))?;
        let shown = folder.display();
        let said = json!({ "folder": folder });
        let done = format!("man pages are in {shown}");
        out.print(&said, |_| {
            format!("{done}; `man {shown}/reefguide.1` shows the first")
        })
        .map_err(CliError::untold(&done))?;
        Ok(true)
    }
}

/// Writes all pages before the first takes its place.
fn write_pages(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let pages = tempfile::tempdir_in(folder)?;
    clap_mangen::generate_to(Cli::command(), &pages)?;
    for page in std::fs::read_dir(&pages)? {
        let page = page?;
        std::fs::rename(page.path(), folder.join(page.file_name()))?;
    }
    Ok(())
}
