//! What goes wrong in storage, named so that the person who reads it can put it right.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use reefguide_transport::PathError;
use reefguide_transport::atomic_file::FileSystemError;

use crate::{StorageUri, Tried};
use reefguide_transport::http_client::NoCertificates;

/// What was being done when storage failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// An object was being stored.
    Store,
    /// An object was being read.
    Read,
    /// The objects below a place were being listed.
    List,
    /// An object's size was being asked for.
    Inspect,
    /// An object was being deleted.
    Delete,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Store => "store",
            Self::Read => "read",
            Self::List => "list",
            Self::Inspect => "inspect",
            Self::Delete => "delete",
        })
    }
}

/// Why storage failed. No secret and no signed URL is ever part of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// A text is no [`StorageUri`].
    #[error("storage URI {uri:?} {problem}")]
    Uri {
        /// The text.
        uri: String,
        /// What is wrong with it, and what would be right.
        problem: &'static str,
    },
    /// A text is no [`ObjectPath`](crate::ObjectPath).
    #[error(transparent)]
    Path(#[from] PathError),
    /// This storage cannot hold an object of that name.
    #[error("cannot {action} {uri}: {problem}")]
    Unsupported {
        /// What was being done.
        action: Action,
        /// The object.
        uri: StorageUri,
        /// What this storage cannot do.
        problem: &'static str,
    },
    /// There is no such object.
    #[error("cannot {action} {uri}: there is no such object{}", asked(.tried))]
    NoSuchObject {
        /// What was being done.
        action: Action,
        /// The object.
        uri: StorageUri,
        /// The request; `None` for a local folder.
        tried: Option<Box<Tried>>,
    },
    /// There is no such bucket.
    #[error(
        "cannot {action} {uri}: bucket `{}` does not exist ({tried}): check S3_BUCKET_NAME, \
         or the storage URI of the assignment", uri.bucket()
    )]
    NoSuchBucket {
        /// What was being done.
        action: Action,
        /// Where.
        uri: StorageUri,
        /// The request.
        tried: Box<Tried>,
    },
    /// The server does not accept the credentials.
    #[error(
        "cannot {action} {uri}: {endpoint} refuses the credentials ({tried}): check MINIO_USERNAME and \
         MINIO_PASSWORD, or AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN"
    )]
    Credentials {
        /// What was being done.
        action: Action,
        /// Where.
        uri: StorageUri,
        /// The server.
        endpoint: Arc<str>,
        /// The request.
        tried: Box<Tried>,
    },
    /// No credentials were found, or they could not be fetched.
    #[error(
        "cannot {action} {uri}: no credentials to sign with ({tried}): set MINIO_USERNAME and \
         MINIO_PASSWORD, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run with a task role"
    )]
    NoCredentials {
        /// What was being done.
        action: Action,
        /// Where.
        uri: StorageUri,
        /// The request that was to be signed.
        tried: Box<Tried>,
        /// What the search said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The credentials are good, but they do not allow this.
    #[error(
        "cannot {action} {uri}: access denied ({tried}): the worker's credentials or task role need to \
         list, read, write and delete in bucket `{}`, and to use the KMS key if objects are encrypted \
         with one", uri.bucket()
    )]
    AccessDenied {
        /// What was being done.
        action: Action,
        /// Where.
        uri: StorageUri,
        /// The request.
        tried: Box<Tried>,
    },
    /// The bucket lives in another region.
    #[error("cannot {action} {uri}: wrong region ({tried}): set AWS_REGION to the bucket's region")]
    Region {
        /// What was being done.
        action: Action,
        /// Where.
        uri: StorageUri,
        /// The request.
        tried: Box<Tried>,
    },
    /// The server was not reached, or the connection broke.
    #[error(
        "cannot {action} {uri}: {endpoint} cannot be reached ({tried}): check S3_ENDPOINT and the network"
    )]
    Unreachable {
        /// What was being done.
        action: Action,
        /// Where.
        uri: StorageUri,
        /// The server.
        endpoint: Arc<str>,
        /// The request.
        tried: Box<Tried>,
        /// What the connection said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The proxy was not reached, or did not connect to the server.
    #[error(
        "cannot {action} {uri}: no connection to {route} ({tried}): check it, or \
         name the server's host in NO_PROXY"
    )]
    Proxy {
        /// What was being done.
        action: Action,
        /// Where.
        uri: StorageUri,
        /// The server, and the proxy without user and password, with the variable that names it.
        route: Box<str>,
        /// The request.
        tried: Box<Tried>,
        /// What the connection said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// What answered is not S3: a proxy, a portal or an application in its place.
    #[error(
        "cannot {action} {uri}: {endpoint} does not answer as S3 does: {answer} ({tried}): check \
         S3_ENDPOINT, and what is between this machine and S3"
    )]
    Foreign {
        /// What was being done.
        action: Action,
        /// Where.
        uri: StorageUri,
        /// The server.
        endpoint: Arc<str>,
        /// The answer: its status, type and first words, and what it lacks or where it redirects to.
        answer: Box<str>,
        /// The request.
        tried: Box<Tried>,
    },
    /// The server is to be reached by `https`, and this system trusts no certificates.
    #[error("cannot {action} {uri}")]
    Certificates {
        /// What was being done.
        action: Action,
        /// Where.
        uri: StorageUri,
        /// What to do.
        source: NoCertificates,
    },
    /// The server took too long, on every try.
    #[error("cannot {action} {uri}: {endpoint} did not answer in time ({tried})")]
    Timeout {
        /// What was being done.
        action: Action,
        /// Where.
        uri: StorageUri,
        /// The server.
        endpoint: Arc<str>,
        /// The request.
        tried: Box<Tried>,
    },
    /// No request could be made: the endpoint is no URL, or there is no region.
    #[error(
        "cannot {action} {uri}: no request to {endpoint} can be made: check S3_ENDPOINT (a URL such as \
         `http://localhost:9000`) and AWS_REGION"
    )]
    Settings {
        /// What was being done.
        action: Action,
        /// Where.
        uri: StorageUri,
        /// The server.
        endpoint: Arc<str>,
        /// What stands in the way.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The server refused for another reason.
    #[error("cannot {action} {uri}: {endpoint} answered {status}{}", said(.tried, .message))]
    Server {
        /// What was being done.
        action: Action,
        /// Where.
        uri: StorageUri,
        /// The server.
        endpoint: Arc<str>,
        /// The HTTP status.
        status: u16,
        /// The request.
        tried: Box<Tried>,
        /// The server's explanation; empty if it gives none.
        message: Box<str>,
    },
    /// Content or an answer broke off, does not match its checksum, or the object was replaced
    /// meanwhile.
    #[error("cannot {action} {uri}: {problem}{}", asked(.tried))]
    Broken {
        /// What was being done.
        action: Action,
        /// The object.
        uri: StorageUri,
        /// What happened.
        problem: String,
        /// The request and its repetitions; `None` if what is wrong is not what one of them met.
        tried: Option<Box<Tried>>,
    },
    /// An object is larger than its reader allows.
    #[error(
        "cannot read {uri}: it has {size} bytes and at most {limit} are allowed here: download it to a file"
    )]
    OverLimit {
        /// The object.
        uri: StorageUri,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A file is larger than an object may be.
    #[error(
        "cannot store {uri}: it would have {size} bytes and an object has at most 5 TiB: split it"
    )]
    TooLarge {
        /// The object.
        uri: StorageUri,
        /// The file's size in bytes.
        size: u64,
    },
    /// A pair of name and value cannot be noted with an object.
    #[error("metadata {name:?} cannot be stored: {problem}")]
    Metadata {
        /// The pair's name.
        name: String,
        /// What is wrong with it, and what would be right.
        problem: &'static str,
    },
    /// A folder to upload contains something that is neither a file nor a folder.
    #[error("{} is a {kind}: only files and folders can be stored; copy its content instead", path.display())]
    NotAFile {
        /// Where.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// A file was changed while it was being uploaded.
    #[error("{} changed while it was being uploaded: finish writing it first", path.display())]
    FileChanged {
        /// Where.
        path: PathBuf,
    },
    /// The local file system refused.
    #[error(transparent)]
    Local(#[from] FileSystemError),
    /// A value could not be written as JSON.
    #[error("cannot write {path:?} as JSON")]
    Json {
        /// The output.
        path: String,
        /// Why not.
        source: serde_json::Error,
    },
    /// The outputs could not all be published.
    #[error("cannot publish the outputs to {to}: {}", outcome(.removed, .left))]
    Publish {
        /// Where to.
        to: StorageUri,
        /// How many of the files were taken back.
        removed: u64,
        /// How many may still be there.
        left: u64,
        /// The first failure.
        source: Box<StorageError>,
    },
}

fn said(tried: &Tried, message: &str) -> String {
    match (&tried.code, message) {
        (None, "") => format!(" without an explanation ({tried})"),
        (_, "") => format!(" ({tried})"),
        _ => format!(" ({tried}): {message}"),
    }
}

fn asked(tried: &Option<Box<Tried>>) -> String {
    tried
        .as_ref()
        .map_or_else(String::new, |tried| format!(" ({tried})"))
}

fn outcome(removed: &u64, left: &u64) -> String {
    match (removed, left) {
        (_, 0) => format!("the {removed} files begun were removed again"),
        _ => format!("of the files begun {removed} were removed again and {left} may remain"),
    }
}

impl StorageError {
    /// Whether the same call may succeed later with nothing changed here. The calls of a single
    /// request were already retried.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Proxy { .. }
            | Self::Foreign { .. }
            | Self::Timeout { .. }
            | Self::Broken { .. } => true,
            Self::Server { status, .. } => *status >= 500 || matches!(status, 408 | 409 | 429),
            Self::Publish { source, .. } => source.is_retryable(),
            Self::Local(error) => error.is_retryable(),
            _ => false,
        }
    }

    /// How often and how long the request was tried that failed; `None` if it was none.
    pub fn tried(&self) -> Option<&Tried> {
        match self {
            Self::NoSuchObject { tried, .. } | Self::Broken { tried, .. } => tried.as_deref(),
            Self::NoSuchBucket { tried, .. }
            | Self::Credentials { tried, .. }
            | Self::NoCredentials { tried, .. }
            | Self::AccessDenied { tried, .. }
            | Self::Region { tried, .. }
            | Self::Unreachable { tried, .. }
            | Self::Proxy { tried, .. }
            | Self::Foreign { tried, .. }
            | Self::Timeout { tried, .. }
            | Self::Server { tried, .. } => Some(tried),
            Self::Publish { source, .. } => source.tried(),
            _ => None,
        }
    }

    /// Makes an error of what the file system said `action` at `path` failed with.
    pub fn local(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let during = FileSystemError::during(action, path);
        move |error| Self::Local(during(error))
    }
}
