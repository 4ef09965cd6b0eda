//! Reading objects over presigned URLs, for those who have the URLs and no credentials.

use std::error::Error;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use reefguide_transport::atomic_file::{AtomicFile, Destination, FileSystemError};
use reefguide_transport::blocking::blocking;
use reefguide_transport::checksum::{ContentHeaders, Expected, InOrder, Verification};
use reefguide_transport::http_client::{
    self, HttpClientError, NoCertificates, Proxy, certificates, needs_certificates,
};
use reefguide_transport::retry::{Delays, RetryPolicy};
use reefguide_transport::s3_answer::{Asked, Head, Judgement};
use reefguide_transport::{ObjectPath, TransferProgress, open_files};
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, IF_MATCH, RANGE, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};

/// Between tries of one file, four in all.
const RETRIES: RetryPolicy = RetryPolicy::new(Duration::from_millis(500))
    .cap(Duration::from_secs(5))
    .tries(4);
/// How much of a file is gathered before it is written, in bytes.
const BUFFER: usize = 1 << 20;
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long content may come to a standstill.
const STALL: Duration = Duration::from_secs(30);
/// The longest pause that a server is granted.
const PAUSE: Duration = Duration::from_secs(60);
/// How much of an answer that is an error is read, in bytes.
const EXPLANATION: usize = 4 << 10;

/// Downloads files over presigned URLs: those of [`Client::download`](crate::Client::download),
/// or of [`Storage::presign_get`]. No credentials are needed.
///
/// A clone is cheap and shares connections and counts.
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
    /// Why no `https` URL can be used.
    missing: Option<NoCertificates>,
    progress: TransferProgress,
}

/// A file that was downloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DownloadedFile {
    /// Its size in bytes.
    pub size: u64,
    /// What it was compared with.
    pub verified_by: VerifiedBy,
}

/// What the content of a downloaded file was compared with: all that the server says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifiedBy {
    /// A checksum of all of it.
    Checksum,
    /// The MD5 that its ETag is.
    Md5,
    /// Its length only: the server gives nothing else, as for an object that was stored in parts.
    Length,
}

/// Why a file could not be downloaded. No part of its URL but the server is in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PresignedError {
    /// No connections can be made from this machine.
    #[error("cannot set up downloads")]
    Setup(#[source] HttpClientError),
    /// What is to be used is no URL.
    #[error("cannot download {path}: its URL cannot be used")]
    Url {
        /// The file.
        path: ObjectPath,
        /// What is wrong.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The server was not reached, or its content broke off.
    #[error("cannot download {path}: {server} cannot be reached, or hung up")]
    Unreachable {
        /// The file.
        path: ObjectPath,
        /// The server.
        server: String,
        /// What happened.
        source: reqwest::Error,
    },
    /// The proxy was not reached, or did not connect to the server.
    #[error(
        "cannot download {path}: no connection to {server} through {proxy}: check it, or name the \
         server's host in NO_PROXY"
    )]
    Proxy {
        /// The file.
        path: ObjectPath,
        /// The server.
        server: String,
        /// The proxy, without user and password, and the variable that names it.
        proxy: String,
        /// What happened.
        source: reqwest::Error,
    },
    /// What answered is not S3: a proxy, a portal or an application in its place.
    #[error(
        "cannot download {path}: {server} does not answer as S3 does: {answer}: check what is between this \
         machine and S3"
    )]
    Foreign {
        /// The file.
        path: ObjectPath,
        /// The server.
        server: String,
        /// The answer: its status, type and first words, and what it lacks or where it redirects to.
        answer: String,
    },
    /// The server refused.
    #[error("cannot download {path}: {server} answered {status}{message}")]
    Refused {
        /// The file.
        path: ObjectPath,
        /// The server.
        server: String,
        /// The HTTP status.
        status: u16,
        /// The server's explanation.
        message: String,
        /// How long it asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// What arrived is not what the server has.
    #[error("cannot download {path}: {problem}")]
    Broken {
        /// The file.
        path: ObjectPath,
        /// What is wrong.
        problem: &'static str,
    },
    /// The local file system refused.
    #[error(transparent)]
    Local(#[from] FileSystemError),
}

impl PresignedError {
    /// Whether the same download may succeed later. It was already tried several times.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Proxy { .. }
            | Self::Foreign { .. }
            | Self::Broken { .. } => true,
            Self::Refused { status, .. } => *status >= 500 || matches!(status, 408 | 429),
            Self::Setup(_) | Self::Url { .. } | Self::Local(_) => false,
        }
    }

    fn retry_after(&self) -> Duration {
        match self {
            Self::Refused { retry_after, .. } => retry_after.unwrap_or_default().min(PAUSE),
            _ => Duration::ZERO,
        }
    }
}

impl PresignedDownloads {
    /// A way to use URLs. Nothing is sent yet.
    ///
    /// # Errors
    /// [`PresignedError::Setup`] if the system does not allow it.
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

    /// The same; what is downloaded through the one returned is counted in `progress`.
    #[must_use]
    pub fn with_progress(&self, progress: &TransferProgress) -> Self {
        Self {
            progress: progress.clone(),
            ..self.clone()
        }
    }

    /// Writes the object that `url` gives to `path` below `folder`, which is made. The file appears when it
    /// is complete and was compared with what the server says of it, and replaces what was there. It
    /// takes about 1 MiB of memory, however large the file is.
    ///
    /// Nothing is written outside of `folder`, not through a symbolic link in it either. What fails is tried
    /// four times in all, and goes on where it broke off if the object is still the same.
    ///
    /// # Cancel safety
    /// A dropped download leaves nothing.
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
        let download = PresignedDownload {
            downloads: self,
            server: url.origin().ascii_serialization(),
            path,
            to: &folder,
            url,
        };
        let file = download.fetch(RETRIES.delays()).await?;
        self.progress.done();
        Ok(file)
    }
}

/// One file to download.
struct PresignedDownload<'a> {
    downloads: &'a PresignedDownloads,
    url: Url,
    server: String,
    path: &'a ObjectPath,
    to: &'a Path,
}

/// A file of which some has arrived.
struct Arriving {
    file: AtomicFile,
    arrived: InOrder,
    /// `None` if the server does not say.
    size: Option<u64>,
    etag: Option<String>,
    verified_by: VerifiedBy,
}

impl PresignedDownload<'_> {
    async fn fetch(&self, mut delays: Delays) -> Result<DownloadedFile, PresignedError> {
        let mut arriving = None;
        loop {
            let (left, done) = self.attempt(arriving).await;
            let error = match done {
                Ok(file) => return Ok(file),
                Err(error) => error,
            };
            let delay = delays.next().filter(|_| error.is_retryable());
            let Some(delay) = delay else {
                return Err(error);
            };
            tracing::debug!(path = %self.path, %error, "download broke off");
            arriving = left;
            tokio::time::sleep(delay.max(error.retry_after())).await;
        }
    }

    /// Goes on with what has arrived, or begins; gives what has arrived by then.
    async fn attempt(
        &self,
        arriving: Option<Arriving>,
    ) -> (Option<Arriving>, Result<DownloadedFile, PresignedError>) {
        let begun = arriving.filter(|begun| begun.etag.is_some());
        let mut response = match self.ask(begun.as_ref()).await {
            Ok(response) => response,
            // What has arrived is of no use any more.
            Err(error @ PresignedError::Broken { .. }) => return (None, Err(error)),
            Err(error) => return (begun, Err(error)),
        };
        let goes_on = response.status() == StatusCode::PARTIAL_CONTENT;
        let mut arriving = match begun.filter(|_| goes_on) {
            Some(begun) => begun,
            None => match self.begin(&response).await {
                Ok(begun) => begun,
                Err(error) => return (None, Err(error)),
            },
        };
        let mut gathered = Vec::new();
        loop {
            let mut full = false;
            let piece = response.chunk().await.map_err(|error| self.lost(error));
            let ended = !matches!(piece, Ok(Some(_)));
            if let Ok(Some(piece)) = &piece {
                gathered.push(piece.clone());
                full = gathered.iter().map(Bytes::len).sum::<usize>() >= BUFFER;
            }
            if full || ended {
                let written = self.write(arriving, std::mem::take(&mut gathered));
                arriving = match written.await {
                    Ok(arriving) => arriving,
                    Err(error) => return (None, Err(error)),
                };
            }
            match piece {
                Ok(Some(_)) => {}
                Ok(None) => return (None, self.commit(arriving).await),
                Err(error) => return (Some(arriving), Err(error)),
            }
        }
    }

    async fn ask(&self, begun: Option<&Arriving>) -> Result<Response, PresignedError> {
        let mut request = self.downloads.client.get(self.url.clone());
        let mut at = 0;
        if let Some((begun, etag)) = begun.and_then(|begun| Some((begun, begun.etag.as_ref()?))) {
            at = begun.arrived.size();
            request = request
                .header(RANGE, format!("bytes={at}-"))
                .header(IF_MATCH, etag);
        }
        let mut response = request.send().await.map_err(|error| self.lost(error))?;
        let status = response.status();
        let (asked, head) = (Asked::by("GET", self.url.path()), head(&response));
        let judgement = asked.judge(&head);
        if judgement == Judgement::OfS3 {
            let another_part =
                status == StatusCode::PARTIAL_CONTENT && !begins_at(response.headers(), at);
            return match another_part {
                true => Err(self.broken("the server sent another part of it")),
                false => Ok(response),
            };
        }
        let body = beginning(&mut response).await;
        if let Err(answer) = asked.conclude(judgement, &head, &body) {
            return Err(PresignedError::Foreign {
                path: self.path.clone(),
                server: self.server.clone(),
                answer: answer.to_string(),
            });
        }
        match status {
            StatusCode::PRECONDITION_FAILED if at > 0 => {
                Err(self.broken("it was replaced meanwhile: download it again"))
            }
            _ => Err(self.refused(&response, &body)),
        }
    }

    async fn begin(&self, response: &Response) -> Result<Arriving, PresignedError> {
        let size = length(response.headers());
        let headers = content(response.headers());
        let expected = match Expected::of(&headers) {
            // Where its parts end is not to be learned over such a URL.
            Expected::Parts(..) => Expected::Nothing,
            expected => expected,
        };
        let verified_by = match expected {
            Expected::Whole(..) => VerifiedBy::Checksum,
            Expected::Md5(_) => VerifiedBy::Md5,
            _ => VerifiedBy::Length,
        };
        let etag = headers.etag.map(str::to_owned);
        let verification = Verification::new(expected, size.unwrap_or(u64::MAX), None);
        let to = Destination::Below(self.to.to_owned(), self.path.clone());
        let reserved = blocking(move || {
            let file = AtomicFile::at(to)?;
            file.reserve(size.unwrap_or_default())?;
            Ok::<_, FileSystemError>(file)
        });
        let file = reserved.await?;
        self.downloads.progress.found(size.unwrap_or_default());
        Ok(Arriving {
            file,
            arrived: InOrder::new(verification),
            size,
            etag,
            verified_by,
        })
    }

    async fn write(
        &self,
        mut arriving: Arriving,
        pieces: Vec<Bytes>,
    ) -> Result<Arriving, PresignedError> {
        let before = arriving.arrived.size();
        let arriving = blocking(move || {
            for piece in pieces {
                let written = arriving
                    .file
                    .file()
                    .write_all_at(&piece, arriving.arrived.size());
                written.map_err(FileSystemError::during("write", arriving.file.target()))?;
                arriving.arrived.add(&piece);
            }
            Ok::<_, FileSystemError>(arriving)
        })
        .await?;
        self.downloads
            .progress
            .moved(arriving.arrived.size() - before);
        Ok(arriving)
    }

    async fn commit(&self, arriving: Arriving) -> Result<DownloadedFile, PresignedError> {
        let Arriving {
            file,
            mut arrived,
            size,
            verified_by,
            ..
        } = arriving;
        if size.is_some_and(|size| size != arrived.size()) {
            return Err(self.broken("it has another length than the server says"));
        }
        if !arrived.are_right() {
            return Err(self.broken("its checksum does not match what arrived"));
        }
        blocking(move || file.commit()).await?;
        Ok(DownloadedFile {
            size: arrived.size(),
            verified_by,
        })
    }

    fn lost(&self, error: reqwest::Error) -> PresignedError {
        let (path, server) = (self.path.clone(), self.server.clone());
        let source = error.without_url();
        match Proxy::failed(&server, &source) {
            Some(proxy) => PresignedError::Proxy {
                path,
                server,
                proxy: proxy.to_string(),
                source,
            },
            None => PresignedError::Unreachable {
                path,
                server,
                source,
            },
        }
    }

    fn broken(&self, problem: &'static str) -> PresignedError {
        PresignedError::Broken {
            path: self.path.clone(),
            problem,
        }
    }

    fn refused(&self, response: &Response, body: &[u8]) -> PresignedError {
        let retry_after = text(response.headers(), RETRY_AFTER.as_str());
        let retry_after = retry_after.and_then(|after| after.parse().ok());
        PresignedError::Refused {
            path: self.path.clone(),
            server: self.server.clone(),
            status: response.status().as_u16(),
            message: explanation(&String::from_utf8_lossy(body)),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }
}

/// How the body of an answer begins.
async fn beginning(response: &mut Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        body.extend_from_slice(&piece);
        if body.len() > EXPLANATION {
            break;
        }
    }
    body
}

fn head(response: &Response) -> Head {
    let headers = response.headers().iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
    Head::of(response.status().as_u16(), headers)
}

fn length(headers: &HeaderMap) -> Option<u64> {
    text(headers, "content-length")?.parse().ok()
}

fn begins_at(headers: &HeaderMap, at: u64) -> bool {
    let range = headers.get(CONTENT_RANGE);
    let range = range.and_then(|range| range.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {at}-")))
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// What an answer says of its content.
fn content(headers: &HeaderMap) -> ContentHeaders<'_> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    ContentHeaders {
        etag: text(ETAG.as_str()),
        crc64_nvme: text("x-amz-checksum-crc64nvme"),
        crc32: text("x-amz-checksum-crc32"),
        crc32_c: text("x-amz-checksum-crc32c"),
        checksum_type: text("x-amz-checksum-type"),
        encryption: text("x-amz-server-side-encryption"),
        customer_algorithm: text("x-amz-server-side-encryption-customer-algorithm"),
    }
}

/// What an S3 server's error says, such as ` (AccessDenied: Request has expired)`.
fn explanation(body: &str) -> String {
    let element = |name: &str| {
        let (_, rest) = body.split_once(&format!("<{name}>"))?;
        Some(rest.split_once('<')?.0)
    };
    match (element("Code"), element("Message")) {
        (Some(code), Some(message)) => format!(" ({code}: {message})"),
        (Some(code), None) => format!(" ({code})"),
        (None, _) => String::new(),
    }
}
