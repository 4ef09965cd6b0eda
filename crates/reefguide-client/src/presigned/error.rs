//! Why a download over a presigned URL failed.

use std::error::Error;
use std::time::Duration;

use reefguide_transport::ObjectPath;
use reefguide_transport::atomic_file::FileSystemError;
use reefguide_transport::http_client::HttpClientError;

/// The longest wait that is accepted from a server.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Why a file could not be downloaded. Of its URL, only the server is shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PresignedError {
    /// No connections can be made from this machine.
    #[error("cannot set up downloads")]
    Setup(#[source] HttpClientError),
    /// The URL cannot be used.
    #[error("cannot download {path}: its URL cannot be used")]
    Url {
        /// The file.
        path: ObjectPath,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The server was not reached, or closed the connection before the end of the content.
    #[error("cannot download {path}: {server} cannot be reached, or closed the connection")]
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
    /// The content that arrived is not the object's.
    #[error("cannot download {path}: {problem}")]
    Broken {
        /// The file.
        path: ObjectPath,
        /// What is wrong.
        problem: &'static str,
    },
    /// The file could not be written.
    #[error(transparent)]
    Local(#[from] FileSystemError),
}

impl PresignedError {
    /// Whether the same download may succeed later. It has been tried several times already.
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

    pub(super) fn retry_after(&self) -> Duration {
        match self {
            Self::Refused { retry_after, .. } => retry_after.unwrap_or_default().min(LONGEST_WAIT),
            _ => Duration::ZERO,
        }
    }
}
