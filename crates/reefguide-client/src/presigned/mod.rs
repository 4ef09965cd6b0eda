//! Downloads over presigned URLs, for programs that have the URLs but no credentials.

mod answer;
mod error;
mod transfer;

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use reefguide_transport::atomic_file::FileSystemError;
use reefguide_transport::http_client::{self, NoCertificates, certificates, needs_certificates};
use reefguide_transport::{ObjectPath, TransferProgress, open_files};
use reqwest::Url;

pub use self::error::PresignedError;
use self::transfer::Transfer;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a download may go without receiving anything.
const STALL: Duration = Duration::from_secs(30);

/// Downloads files over presigned URLs, such as those that [`Client::download`](crate::Client::download) returns. No
/// credentials are needed.
///
/// A clone is cheap and shares connections and progress.
///
/// ```
/// # use std::{error::Error, path::Path};
/// # use reefguide_client::{Client, PresignedDownloads, job::JobId};
/// # async fn fetch(client: &Client, job: &JobId, folder: &Path) -> Result<(), Box<dyn Error>> {
/// let links = PresignedDownloads::new()?;
/// for (path, url) in client.download(job, None, None).await?.files {
///     links.download(&url, folder, &path.parse()?).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct PresignedDownloads {
    client: reqwest::Client,
    /// Why `https` URLs cannot be used, if they cannot.
    missing: Option<NoCertificates>,
    progress: TransferProgress,
}

/// A file that was downloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DownloadedFile {
    /// Its size in bytes.
    pub size: u64,
    /// What its content was compared with.
    pub verified_by: VerifiedBy,
}

/// What the content of a downloaded file was compared with: the strongest check that the server's answer allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifiedBy {
    /// A checksum of the whole file.
    Checksum,
    /// The MD5 checksum in its ETag.
    Md5,
    /// Only its length: the server sends no checksum of the whole object, such as for one that was stored in parts.
    Length,
}

impl PresignedDownloads {
    /// Sets up downloads. Nothing is sent yet.
    ///
    /// # Errors
    /// [`PresignedError::Setup`] if no HTTP client can be created.
    pub fn new() -> Result<Self, PresignedError> {
        let missing = certificates().err();
        // A machine without certificates can still use plain HTTP.
        let url = if missing.is_none() { "https:" } else { "http:" };
        let client = http_client::client(url, |client| {
            client
                .connect_timeout(CONNECT)
                .read_timeout(STALL)
                .tcp_nodelay(true)
        });
        Ok(Self {
            client: client.map_err(PresignedError::Setup)?,
            missing,
            progress: TransferProgress::default(),
        })
    }

    /// Counts the downloads of the returned value in `progress`.
    #[must_use]
    pub fn with_progress(&self, progress: &TransferProgress) -> Self {
        Self {
            progress: progress.clone(),
            ..self.clone()
        }
    }

    /// Writes the object behind `url` to `path` below `folder`, which is created if necessary. The file appears, and
    /// replaces an earlier one, once it is complete and verified. A download takes about 1 MiB of memory, however large
    /// the file is.
    ///
    /// Nothing is written outside of `folder`, not even through a symbolic link in it. A download is tried four times in
    /// total, and continues where it was interrupted if the object has not changed.
    ///
    /// # Cancel safety
    /// A dropped download leaves nothing behind.
    pub async fn download(
        &self,
        url: &str,
        folder: &Path,
        path: &ObjectPath,
    ) -> Result<DownloadedFile, PresignedError> {
        let _open = open_files::transfer().await;
        let _under_way = self.progress.begin();
        let unusable = |source: Box<dyn Error + Send + Sync>| PresignedError::Url {
            path: path.clone(),
            source,
        };
        let folder =
            std::path::absolute(folder).map_err(FileSystemError::during("find", folder))?;
        if let Some(missing) = self.missing.as_ref().filter(|_| needs_certificates(url)) {
            return Err(unusable(missing.clone().into()));
        }
        let url = Url::parse(url).map_err(|error| unusable(error.into()))?;
        let transfer = Transfer {
            downloads: self,
            server: url.origin().ascii_serialization(),
            path,
            to: &folder,
            url,
        };
        let file = transfer.run().await?;
        self.progress.done();
        Ok(file)
    }
}
