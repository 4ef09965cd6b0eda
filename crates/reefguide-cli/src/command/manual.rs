//! `completions` and `man`, generated from the definition of the command line.

use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;
use reefguide_terminal::stdout::answer;
use serde_json::json;

use crate::error::CliError;
use crate::files::unwritable;
use crate::input;
use crate::output::Output;

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, mut definition: Command) -> Result<bool, CliError> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut definition, "reefguide", &mut script);
        answer(String::from_utf8_lossy(&script).trim_end())?;
        Ok(true)
    }
}

#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Folder for the pages; created if it is missing.
    #[arg(long, value_name = "DIR", value_parser = input::path())]
    to: PathBuf,
}

impl Man {
    pub(super) fn run(self, out: Output, definition: Command) -> Result<bool, CliError> {
        let Self { to: folder } = self;
        write_pages(&folder, definition).map_err(unwritable(&folder))?;
        let shown = folder.display();
        let done = format!("man pages are in {shown}");
        out.print(&json!({ "folder": folder }), |_| {
            format!("{done}; `man {shown}/reefguide.1` shows the first")
        })
        .map_err(CliError::unprinted(&done))?;
        Ok(true)
    }
}

/// Writes all pages to a temporary folder before it moves the first one.
fn write_pages(folder: &Path, definition: Command) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let pages = tempfile::tempdir_in(folder)?;
    clap_mangen::generate_to(definition, &pages)?;
    for page in std::fs::read_dir(&pages)? {
        let page = page?;
        std::fs::rename(page.path(), folder.join(page.file_name()))?;
    }
    Ok(())
}
