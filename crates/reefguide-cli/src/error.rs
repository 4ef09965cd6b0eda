//! Why a command failed.

use std::io;

use reefguide_client::ApiError;
use reefguide_client::PresignedError;
#[cfg(feature = "bucket")]
use reefguide_jobs::ledger::LedgerError;
#[cfg(feature = "bucket")]
use reefguide_storage::StorageError;
use reefguide_terminal::stdout::StdoutError;
use reefguide_transport::atomic_file::FileSystemError;

use crate::address::BadAddress;
use crate::batch::BatchError;
use crate::fetch::FetchError;
use crate::files::FileError;
use crate::schemas::SchemaError;
use crate::session::SessionError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[cfg(feature = "bucket")]
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[cfg(feature = "bucket")]
    #[error(transparent)]
    Records(#[from] LedgerError),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error(transparent)]
    Address(#[from] BadAddress),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Stdout(#[from] StdoutError),
    #[error("{done}, but this could not be printed")]
    Unprinted { done: String, source: StdoutError },
    #[error(transparent)]
    Session(#[from] SessionError),
    #[error("{option} is missing, or {variable} is empty")]
    Missing {
        option: &'static str,
        variable: &'static str,
    },
    #[error("cannot ask for the password: {0}; set REEFGUIDE_PASSWORD if there is no terminal")]
    Password(io::Error),
    #[error("payload from {from}")]
    Payload {
        from: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

pub(crate) const FAILED: u8 = 1;
pub(crate) const USAGE: u8 = 2;
const UNREACHABLE: u8 = 69;
pub(crate) const UNWRITTEN: u8 = 74;
const DENIED: u8 = 77;

impl CliError {
    /// Adds what was done to an error of stdout, which would otherwise hide it.
    pub(crate) fn unprinted(done: impl Into<String>) -> impl FnOnce(StdoutError) -> Self {
        let done = done.into();
        move |source| Self::Unprinted { done, source }
    }

    /// The options and variables to look at, for errors of the bucket: they do not know where their settings come from.
    pub(crate) fn help(&self) -> Option<&'static str> {
        match self {
            #[cfg(feature = "bucket")]
            Self::Storage(error) | Self::Records(LedgerError::Storage(error)) => help(error),
            _ => None,
        }
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Session(error) => session(error),
            Self::Api(error) | Self::Batch(BatchError::Refused { source: error, .. }) => api(error),
            #[cfg(feature = "bucket")]
            Self::Storage(error) | Self::Records(LedgerError::Storage(error)) => storage(error),
            #[cfg(feature = "bucket")]
            Self::Records(error) if error.is_retryable() => UNREACHABLE,
            #[cfg(feature = "bucket")]
            Self::Records(_) => FAILED,
            Self::Fetch(FetchError::Api(error)) => api(error),
            Self::Fetch(FetchError::Link(error)) => link(error),
            Self::Fetch(_) => FAILED,
            Self::File(_) | Self::Schema(SchemaError::File(_)) => UNWRITTEN,
            Self::Stdout(_) | Self::Unprinted { .. } => UNWRITTEN,
            Self::Address(_) | Self::Missing { .. } => USAGE,
            Self::Password(_) | Self::Payload { .. } => USAGE,
            Self::Batch(_) | Self::Schema(_) => USAGE,
        }
    }
}

fn session(error: &SessionError) -> u8 {
    match error {
        SessionError::NotLoggedIn | SessionError::Unusable { .. } => DENIED,
        SessionError::Unsaved { .. } | SessionError::File(_) => UNWRITTEN,
        SessionError::NoFolder | SessionError::Home(_) => USAGE,
        SessionError::Api(error) => api(error),
    }
}

fn api(error: &ApiError) -> u8 {
    match error {
        ApiError::Login(error) => api(error),
        ApiError::Endpoint { .. } | ApiError::Client { .. } => USAGE,
        ApiError::TooLarge { .. } => USAGE,
        ApiError::Nul { .. } | ApiError::ForeignId { .. } => USAGE,
        _ if error.is_denied() => DENIED,
        _ if error.is_retryable() => UNREACHABLE,
        _ => FAILED,
    }
}

#[cfg(feature = "bucket")]
fn help(error: &StorageError) -> Option<&'static str> {
    Some(match error {
        StorageError::NoSuchBucket { .. } => "name the bucket with --bucket or S3_BUCKET_NAME",
        StorageError::Credentials { .. } | StorageError::NoCredentials { .. } => {
            "with --s3-endpoint or S3_ENDPOINT, set MINIO_USERNAME and MINIO_PASSWORD; otherwise set \
             AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or log in with the AWS command line"
        }
        StorageError::Region { .. } => "name the bucket's region with --region or AWS_REGION",
        StorageError::Unreachable { .. } | StorageError::Foreign { .. } => {
            "name the S3 server with --s3-endpoint or S3_ENDPOINT"
        }
        StorageError::Settings { .. } => {
            "name the S3 server with --s3-endpoint or S3_ENDPOINT, and its region with --region or AWS_REGION"
        }
        _ => return None,
    })
}

#[cfg(feature = "bucket")]
fn storage(error: &StorageError) -> u8 {
    match error {
        StorageError::Credentials { .. } | StorageError::NoCredentials { .. } => DENIED,
        StorageError::AccessDenied { .. } => DENIED,
        StorageError::Settings { .. } | StorageError::Region { .. } => USAGE,
        StorageError::Uri { .. } | StorageError::Unsupported { .. } => USAGE,
        StorageError::Certificates { .. } => USAGE,
        StorageError::Local(error) => local(error),
        _ if error.is_retryable() => UNREACHABLE,
        _ => FAILED,
    }
}

fn local(error: &FileSystemError) -> u8 {
    match error.source.raw_os_error() {
        Some(_) => UNWRITTEN,
        None => FAILED,
    }
}

fn link(error: &PresignedError) -> u8 {
    match error {
        PresignedError::Refused {
            status: 401 | 403, ..
        } => DENIED,
        PresignedError::Setup(_) => USAGE,
        PresignedError::Local(error) => local(error),
        _ if error.is_retryable() => UNREACHABLE,
        _ => FAILED,
    }
}
