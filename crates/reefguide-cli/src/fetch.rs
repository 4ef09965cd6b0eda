//! Downloading the output files of a job.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use reefguide_client::job::JobId;
use reefguide_client::{ApiError, Client};
use reefguide_client::{DownloadedFile, PresignedDownloads, PresignedError, VerifiedBy};
use reefguide_terminal::Bar;
use reefguide_transport::{ObjectPath, PathError, TransferProgress};
use serde::Serialize;

use crate::output::Output;

/// How long the URLs are valid. Even over a slow connection, the last of 25 downloads has started by then.
const URL_EXPIRY: Duration = Duration::from_secs(6 * 3_600);
/// How many files are downloaded at once.
const CONCURRENCY: usize = 4;

/// Which files to download. The default is all files, and none that exists is replaced.
#[derive(Clone, Copy, Debug, Default)]
pub struct FetchOptions<'a> {
    /// Only files whose paths begin with this.
    pub only: Option<&'a str>,
    /// Replaces existing files.
    pub force: bool,
}

/// A downloaded file.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FetchedFile {
    /// Its path below the folder.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    #[serde(rename = "comparedBy")]
    pub(crate) verified_by: &'static str,
}

/// Why files of a job were not downloaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The API did not return the URLs of the files.
    #[error(transparent)]
    Api(ApiError),
    /// The API does not return the URLs of so many files.
    #[error("the API returns at most 25 files at once; use --only to download fewer")]
    TooMany(#[source] ApiError),
    /// A file's path would lead out of the folder.
    #[error("the job has a file that cannot be written here; nothing was downloaded")]
    Path(#[source] PathError),
    /// A file exists already.
    #[error("{} exists, and others may too; nothing was downloaded. Use --force to replace files", .0.display())]
    Exists(PathBuf),
    /// A download failed.
    #[error(transparent)]
    Link(#[from] PresignedError),
}

/// Downloads the output files of a job into a folder, which is created if it is missing, and shows a progress bar
/// meanwhile if stderr is a terminal. Each file appears once it is complete and verified.
///
/// # Errors
/// All of [`FetchError`]. Files that were complete by then stay, and a note to `out` says how many there are.
pub async fn fetch_outputs(
    client: &Client,
    job: &JobId,
    folder: &Path,
    options: FetchOptions<'_>,
    out: Output,
) -> Result<Vec<FetchedFile>, FetchError> {
    let answer = client.download(job, Some(URL_EXPIRY), options.only).await;
    let answer = answer.map_err(|error| match &error {
        ApiError::Refused { message, .. } if message.contains("more than 25 files") => {
            FetchError::TooMany(error)
        }
        _ => FetchError::Api(error),
    })?;
    let files = check_paths(answer.files, folder, options.force)?;
    let progress = TransferProgress::default();
    let links = PresignedDownloads::new()?.with_progress(&progress);
    let fetching = stream::iter(files)
        .map(|(path, url)| {
            let links = &links;
            async move {
                let file = links.download(&url, folder, &path).await?;
                Ok::<_, FetchError>(FetchedFile::new(&path, file))
            }
        })
        .buffered(CONCURRENCY)
        .try_collect();
    let fetched = Bar::stderr().during(&progress, fetching).await;
    fetched.inspect_err(|_| {
        let complete = progress.now().files;
        if complete > 0 {
            out.note(format_args!(
                "{complete} files are complete; --force downloads them again"
            ));
        }
    })
}

/// Parses the paths of all files before the first one is downloaded, and checks that none of them exists.
fn check_paths(
    files: impl IntoIterator<Item = (String, String)>,
    folder: &Path,
    force: bool,
) -> Result<Vec<(ObjectPath, String)>, FetchError> {
    let mut checked = Vec::new();
    for (name, url) in files {
        let path: ObjectPath = name.parse().map_err(FetchError::Path)?;
        let file = folder.join(path.as_str());
        // Finds broken links, too.
        if !force && file.symlink_metadata().is_ok() {
            return Err(FetchError::Exists(file));
        }
        checked.push((path, url));
    }
    Ok(checked)
}

impl FetchedFile {
    fn new(path: &ObjectPath, file: DownloadedFile) -> Self {
        Self {
            path: path.to_string(),
            bytes: file.size,
            verified_by: match file.verified_by {
                VerifiedBy::Checksum => "checksum",
                VerifiedBy::Md5 => "MD5",
                _ => "length",
            },
        }
    }
}
