//! Why a command failed.

use std::io;
use std::path::PathBuf;

use reefguide_worker::runtime::RecordError;
use reefguide_worker::source::reefguide::ApiError;
use reefguide_worker::storage::{LinkError, StorageError};

use crate::command::{BatchError, DownloadError, SchemaError};

#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Records(#[from] RecordError),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error(transparent)]
    Download(#[from] DownloadError),
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error("not logged in; run `reefguide login --api URL --email EMAIL`")]
    NotLoggedIn,
    #[error("session file {}", .path.display())]
    Session { path: PathBuf, source: io::Error },
    #[error("this system has no folder for configuration; set REEFGUIDE_CONFIG_DIR")]
    NoConfigFolder,
    #[error("password: {0}; set REEFGUIDE_PASSWORD where there is no terminal")]
    Password(io::Error),
    #[error("payload from {from}")]
    Payload {
        from: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("man pages in {}", .folder.display())]
    Man { folder: PathBuf, source: io::Error },
}

const FAILED: u8 = 1;
const USAGE: u8 = 2;
const UNREACHABLE: u8 = 69;
const DENIED: u8 = 77;

impl CliError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::NotLoggedIn => DENIED,
            Self::Api(error) | Self::Batch(BatchError::Refused { source: error, .. }) => of(error),
            Self::Records(error) if error.is_retryable() => UNREACHABLE,
            Self::Storage(error) if error.is_retryable() => UNREACHABLE,
            Self::Download(DownloadError::Link(error)) if error.is_retryable() => UNREACHABLE,
            Self::Download(DownloadError::Link(LinkError::Refused { status: 403, .. })) => DENIED,
            Self::Storage(_) | Self::Records(_) | Self::Download(_) => FAILED,
            Self::Session { .. } | Self::NoConfigFolder | Self::Man { .. } => FAILED,
            Self::Password(_) | Self::Payload { .. } => USAGE,
            Self::Batch(_) | Self::Schema(_) => USAGE,
        }
    }
}

fn of(error: &ApiError) -> u8 {
    match error {
        _ if error.is_denied() => DENIED,
        _ if error.is_retryable() => UNREACHABLE,
        _ => FAILED,
    }
}
