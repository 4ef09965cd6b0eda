//! `download`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use reefguide_client::ApiError;
use reefguide_client::job::JobId;
use reefguide_client::{DownloadedFile, PresignedDownloads, PresignedError, VerifiedBy};
use reefguide_terminal::Bar;
use reefguide_transport::{ObjectPath, PathError, TransferProgress};
use serde::Serialize;

use crate::error::CliError;
use crate::output::{self, Output};
use crate::{input, session};

/// How long the URLs are to hold: whatever the connection, 25 files should have begun by then.
const HOLD: Duration = Duration::from_secs(6 * 3_600);
/// How many files are under way at once.
const AT_ONCE: usize = 4;

#[derive(Debug, Args)]
pub(crate) struct Download {
    /// The job.
    #[arg(value_parser = clap::value_parser!(i64).range(1..))]
    id: i64,
    /// Folder for the files; made if it is missing.
    #[arg(long, value_name = "DIR", value_parser = input::path())]
    to: PathBuf,
    /// Only files whose path begins like this, such as `charts/`.
    #[arg(long, value_name = "PREFIX")]
    only: Option<String>,
    /// Replaces files that exist.
    #[arg(long)]
    force: bool,
}

/// Why a job's files, or some of them, were not downloaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DownloadError {
    #[error("the API gives at most 25 files at once; use --only to download fewer")]
    TooMany(#[source] ApiError),
    #[error("the job has a file that cannot be written here; nothing was downloaded")]
    Name(#[source] PathError),
    #[error("{} exists, and so may more; nothing was downloaded. --force replaces files", .0.display())]
    Exists(PathBuf),
    #[error(transparent)]
    Link(#[from] PresignedError),
}

/// What is printed.
#[derive(Serialize)]
struct Downloaded {
    to: PathBuf,
    files: Vec<File>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File {
    path: String,
    bytes: u64,
    compared_by: &'static str,
}

impl Download {
    pub(super) async fn run(self, out: Output) -> Result<bool, CliError> {
        let client = session::client(out).await?;
        let answer = client
            .download(&JobId::from(self.id), Some(HOLD), self.only.as_deref())
            .await;
        let links = answer.map_err(|error| match &error {
            ApiError::Refused { message, .. } if message.contains("more than 25 files") => {
                DownloadError::TooMany(error).into()
            }
            _ => CliError::from(error),
        })?;
        let links = self.named(links.files)?;
        let progress = TransferProgress::default();
        let downloads = PresignedDownloads::new()
            .map_err(DownloadError::from)?
            .with_progress(&progress);
        let fetching = stream::iter(links)
            .map(|(path, url)| {
                let (downloads, to) = (&downloads, &self.to);
                async move {
                    let file = downloads.download(&url, to, &path).await?;
                    Ok(File::of(&path, file))
                }
            })
            .buffered(AT_ONCE)
            .try_collect::<Vec<_>>();
        let files = Bar::stderr().during(&progress, fetching).await;
        let files = files.map_err(|error| {
            let complete = progress.now().files;
            if complete > 0 {
                out.note(format_args!(
                    "{complete} files are complete; --force downloads them again"
                ));
            }
            DownloadError::Link(error)
        })?;
        let downloaded = Downloaded { to: self.to, files };
        let (files, to) = (downloaded.files.len(), downloaded.to.display());
        let done = format!("{files} files are downloaded to {to}");
        out.print(&downloaded, table)
            .map_err(CliError::untold(done))?;
        Ok(true)
    }

    /// The files by the path that each is to have, of which none may be in the way of anything.
    fn named(
        &self,
        links: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Vec<(ObjectPath, String)>, DownloadError> {
        let mut named = Vec::new();
        for (name, url) in links {
            let path: ObjectPath = name.parse().map_err(DownloadError::Name)?;
            let file = self.to.join(Path::new(path.as_str()));
            // A broken link is in the way, too.
            if !self.force && file.symlink_metadata().is_ok() {
                return Err(DownloadError::Exists(file));
            }
            named.push((path, url));
        }
        Ok(named)
    }
}

impl File {
    fn of(path: &ObjectPath, file: DownloadedFile) -> Self {
        Self {
            path: path.to_string(),
            bytes: file.size,
            compared_by: match file.verified_by {
                VerifiedBy::Checksum => "checksum",
                VerifiedBy::Md5 => "MD5",
                _ => "length",
            },
        }
    }
}

fn table(downloaded: &Downloaded) -> String {
    if downloaded.files.is_empty() {
        return "there are no such files".to_owned();
    }
    let mut table = output::table(&["FILE", "BYTES", "COMPARED BY"]);
    for file in &downloaded.files {
        let path = downloaded.to.join(&file.path);
        table.add_row([
            path.display().to_string(),
            file.bytes.to_string(),
            file.compared_by.to_owned(),
        ]);
    }
    table.trim_fmt()
}
