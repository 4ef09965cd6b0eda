//! What goes wrong in storage, described so that the person who reads it can fix it.
//!
//! The texts use the storage's own terms. A program that is configured by variables names those itself, by the variant.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use reefguide_transport::PathError;
use reefguide_transport::atomic_file::FileSystemError;

use crate::{RequestTries, StorageUri};
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
    /// A text is not a [`StorageUri`].
    #[error("storage URI {uri:?} {problem}")]
    Uri {
        /// The text.
        uri: String,
        /// What is wrong with it, and how to fix it.
        problem: &'static str,
    },
    /// A text is not an [`ObjectPath`](crate::ObjectPath).
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
        tried: Option<Box<RequestTries>>,
    },
    /// There is no such bucket.
    #[error(
        "cannot {action} {uri}: bucket `{}` does not exist ({tried}): check the bucket's name",
        uri.bucket()
    )]
    NoSuchBucket {
        /// What was being done.
        action: Action,
        /// Where.
        uri: StorageUri,
        /// The request.
        tried: Box<RequestTries>,
    },
    /// The server rejects the credentials.
    #[error(
        "cannot {action} {uri}: {endpoint} refuses the credentials ({tried}): check the keys that \
         requests are signed with"
    )]
    Credentials {
        /// What was being done.
        action: Action,
        /// Where.
        uri: StorageUri,
        /// The server.
        endpoint: Arc<str>,
        /// The request.
        tried: Box<RequestTries>,
    },
    /// No credentials were found, or they could not be fetched.
    #[error(
        "cannot {action} {uri}: no credentials to sign with ({tried}): set an access key and its \
         secret key, or run with a role that provides them"
    )]
    NoCredentials {
        /// What was being done.
        action: Action,
        /// Where.
        uri: StorageUri,
        /// The request that was to be signed.
        tried: Box<RequestTries>,
        /// Why the search failed.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The credentials are valid, but they do not allow this.
    #[error(
        "cannot {action} {uri}: access denied ({tried}): the credentials or the role need permission to \
         list, read, write and delete in bucket `{}`, and to use the KMS key if objects are encrypted \
         with one", uri.bucket()
    )]
    AccessDenied {
        /// What was being done.
        action: Action,
        /// Where.
        uri: StorageUri,
        /// The request.
        tried: Box<RequestTries>,
    },
    /// The bucket lives in another region.
    #[error("cannot {action} {uri}: wrong region ({tried}): set the bucket's region")]
    Region {
        /// What was being done.
        action: Action,
        /// Where.
        uri: StorageUri,
        /// The request.
        tried: Box<RequestTries>,
    },
    /// The server was not reached, or the connection broke.
    #[error(
        "cannot {action} {uri}: {endpoint} cannot be reached ({tried}): check the endpoint and the network"
    )]
    Unreachable {
        /// What was being done.
        action: Action,
        /// Where.
        uri: StorageUri,
        /// The server.
        endpoint: Arc<str>,
        /// The request.
        tried: Box<RequestTries>,
        /// The connection's error.
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
        tried: Box<RequestTries>,
        /// The connection's error.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Something other than S3 answered, such as a proxy, a portal or an application.
    #[error(
        "cannot {action} {uri}: {endpoint} does not answer as S3 does: {answer} ({tried}): check \
         the endpoint, and what is between this machine and S3"
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
        tried: Box<RequestTries>,
    },
    /// The endpoint uses `https`, and this system trusts no certificate authority.
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
        tried: Box<RequestTries>,
    },
    /// No request could be made: the endpoint is not a URL, or there is no region.
    #[error(
        "cannot {action} {uri}: no request to {endpoint} can be made: check the endpoint (a URL such as \
         `http://localhost:9000`) and the region"
    )]
    Settings {
        /// What was being done.
        action: Action,
        /// Where.
        uri: StorageUri,
        /// The server.
        endpoint: Arc<str>,
        /// Why not.
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
        tried: Box<RequestTries>,
        /// The server's explanation; empty if it gives none.
        message: Box<str>,
    },
    /// Content or an answer broke off or does not match its checksum, or the object was replaced during the
    /// transfer.
    #[error("cannot {action} {uri}: {problem}{}", asked(.tried))]
    Broken {
        /// What was being done.
        action: Action,
        /// The object.
        uri: StorageUri,
        /// What happened.
        problem: String,
        /// The request; `None` if the problem is not one request's.
        tried: Option<Box<RequestTries>>,
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
    /// A pair of name and value cannot be stored with an object.
    #[error("metadata {name:?} cannot be stored: {problem}")]
    Metadata {
        /// The pair's name.
        name: String,
        /// What is wrong with it, and how to fix it.
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
        /// How many of the files were deleted again.
        removed: u64,
        /// How many may still be there.
        left: u64,
        /// The first failure.
        source: Box<StorageError>,
    },
}

fn said(tried: &RequestTries, message: &str) -> String {
    match (&tried.code, message) {
        (None, "") => format!(" without an explanation ({tried})"),
        (_, "") => format!(" ({tried})"),
        _ => format!(" ({tried}): {message}"),
    }
}

fn asked(tried: &Option<Box<RequestTries>>) -> String {
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
    /// Whether the same call may succeed later, with nothing changed here. Single requests have already been
    /// retried.
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

    /// How often and for how long the failed request was tried; `None` if no request failed.
    pub fn tried(&self) -> Option<&RequestTries> {
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

    /// Turns the file system's error about `action` at `path` into an error of the storage.
    pub fn local(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let during = FileSystemError::during(action, path);
        move |error| Self::Local(during(error))
    }
}
