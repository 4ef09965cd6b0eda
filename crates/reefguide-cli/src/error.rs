//! Why a command failed.

use std::path::PathBuf;
use std::process::ExitCode;

use reefguide_worker::runtime::RecordError;
use reefguide_worker::source::reefguide::ApiError;
use reefguide_worker::storage::StorageError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Records(#[from] RecordError),
    #[error("not logged in; run `reefguide login --api URL --email EMAIL`")]
    NotLoggedIn,
    #[error("session file {}", .path.display())]
    Session {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("this system has no folder for configuration; set REEFGUIDE_CONFIG_DIR")]
    NoConfigFolder,
    #[error("password: {0}; set REEFGUIDE_PASSWORD where there is no terminal")]
    Password(std::io::Error),
    #[error("payload from {from}")]
    Payload {
        from: String,
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl CliError {
    pub(crate) fn exit_code(&self) -> ExitCode {
        let code = match self {
            Self::NotLoggedIn => 77,
            Self::Api(error) if error.is_denied() => 77,
            Self::Api(error) if error.is_retryable() => 69,
            Self::Records(error) if error.is_retryable() => 69,
            Self::Storage(_) | Self::Records(_) => 1,
            Self::Api(_) | Self::Session { .. } | Self::NoConfigFolder => 1,
            Self::Password(_) | Self::Payload { .. } => 2,
        };
        code.into()
    }
}
