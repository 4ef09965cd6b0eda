//! `download`.

use std::path::PathBuf;

use clap::Args;
use reefguide_client::job::JobId;
use serde::Serialize;

use crate::error::CliError;
use crate::fetch::{FetchOptions, FetchedFile, fetch_outputs};
use crate::output::{self, Output};
use crate::{input, session};

#[derive(Debug, Args)]
pub(crate) struct Download {
    /// The job.
    #[arg(value_parser = input::job_id())]
    id: JobId,
    /// Folder for the files; created if it is missing.
    #[arg(long, value_name = "DIR", value_parser = input::path())]
    to: PathBuf,
    /// Downloads only files whose paths begin with this, such as `charts/`.
    #[arg(long, value_name = "PREFIX")]
    only: Option<String>,
    /// Replaces existing files.
    #[arg(long)]
    force: bool,
}

/// What is printed.
#[derive(Serialize)]
struct Downloaded {
    to: PathBuf,
    files: Vec<FetchedFile>,
}

impl Download {
    pub(super) async fn run(self, out: Output) -> Result<bool, CliError> {
        let client = session::client(out).await?;
        let options = FetchOptions {
            only: self.only.as_deref(),
            force: self.force,
        };
        let files = fetch_outputs(&client, &self.id, &self.to, options, out).await?;
        let done = format!(
            "{} files are downloaded to {}",
            files.len(),
            self.to.display()
        );
        let downloaded = Downloaded { to: self.to, files };
        out.print(&downloaded, table)
            .map_err(CliError::unprinted(done))?;
        Ok(true)
    }
}

fn table(downloaded: &Downloaded) -> String {
    if downloaded.files.is_empty() {
        return "no matching files".to_owned();
    }
    let mut table = output::table(&["FILE", "BYTES", "VERIFIED BY"]);
    for file in &downloaded.files {
        let path = downloaded.to.join(&file.path);
        table.add_row([
            path.display().to_string(),
            file.bytes.to_string(),
            file.verified_by.to_owned(),
        ]);
    }
    table.trim_fmt()
}
