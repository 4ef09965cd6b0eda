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

/// A request that has failed. Displayed as what could not be done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FailedRequest {
    /// What was being done.
    pub action: Action,
    /// The object, folder or bucket.
    pub uri: StorageUri,
    /// The server.
    pub server: Arc<str>,
    /// How often and for how long it was tried.
    pub tries: RequestTries,
}

impl fmt::Display for FailedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}", self.action, self.uri)
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
        "{0}: bucket `{bucket}` does not exist ({tries}): check the bucket's name",
        bucket = .0.uri.bucket(), tries = .0.tries
    )]
    NoSuchBucket(Box<FailedRequest>),
    /// The server rejects the credentials.
    #[error(
        "{0}: {server} refuses the credentials ({tries}): check the keys that requests are signed with",
        server = .0.server, tries = .0.tries
    )]
    Credentials(Box<FailedRequest>),
    /// No credentials were found, or they could not be fetched.
    #[error(
        "{request}: no credentials to sign with ({tries}): set an access key and its secret key, or run \
         with a role that provides them", tries = .request.tries
    )]
    NoCredentials {
        /// The request that was to be signed.
        request: Box<FailedRequest>,
        /// Why the search failed.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The credentials are valid, but they do not allow this.
    #[error(
        "{0}: access denied ({tries}): the credentials or the role need permission to list, read, write \
         and delete in bucket `{bucket}`, and to use the KMS key if objects are encrypted with one",
        bucket = .0.uri.bucket(), tries = .0.tries
    )]
    AccessDenied(Box<FailedRequest>),
    /// The bucket is in another region.
    #[error("{0}: wrong region ({tries}): set the bucket's region", tries = .0.tries)]
    Region(Box<FailedRequest>),
    /// The server was not reached, or the connection broke.
    #[error(
        "{request}: {server} cannot be reached ({tries}): check the endpoint and the network",
        server = .request.server, tries = .request.tries
    )]
    Unreachable {
        /// The request.
        request: Box<FailedRequest>,
        /// The connection's error.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The proxy was not reached, or did not connect to the server.
    #[error(
        "{request}: no connection to {server} through {proxy} ({tries}): check it, or name the server's \
         host in NO_PROXY", server = .request.server, tries = .request.tries
    )]
    Proxy {
        /// The request.
        request: Box<FailedRequest>,
        /// The proxy without user and password, with the variable that names it.
        proxy: Box<str>,
        /// The connection's error.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Something other than S3 answered, such as a proxy, a portal or an application.
    #[error(
        "{request}: {server} does not answer as S3 does: {answer} ({tries}): check the endpoint, and what \
         is between this machine and S3", server = .request.server, tries = .request.tries
    )]
    Foreign {
        /// The request, whose server includes the proxy, if there is one.
        request: Box<FailedRequest>,
        /// The answer: its status, type and first words, and what it lacks or where it redirects to.
        answer: Box<str>,
    },
    /// The endpoint uses `https`, and this system trusts no certificate authority.
    #[error("{request}")]
    Certificates {
        /// The request.
        request: Box<FailedRequest>,
        /// What to do.
        source: NoCertificates,
    },
    /// The server took too long, on every try.
    #[error(
        "{0}: {server} did not answer in time ({tries})",
        server = .0.server, tries = .0.tries
    )]
    Timeout(Box<FailedRequest>),
    /// No request could be made: the endpoint is not a URL, or there is no region.
    #[error(
        "{request}: no request to {server} can be made: check the endpoint (a URL such as \
         `http://localhost:9000`) and the region", server = .request.server
    )]
    Settings {
        /// The request.
        request: Box<FailedRequest>,
        /// Why not.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The server refused for another reason.
    #[error(
        "{request}: {server} answered {status}{said}",
        server = .request.server, said = said(&.request.tries, .message)
    )]
    Server {
        /// The request.
        request: Box<FailedRequest>,
        /// The HTTP status.
        status: u16,
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
            Self::NoSuchBucket(request)
            | Self::Credentials(request)
            | Self::NoCredentials { request, .. }
            | Self::AccessDenied(request)
            | Self::Region(request)
            | Self::Unreachable { request, .. }
            | Self::Proxy { request, .. }
            | Self::Foreign { request, .. }
            | Self::Timeout(request)
            | Self::Server { request, .. } => Some(&request.tries),
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
