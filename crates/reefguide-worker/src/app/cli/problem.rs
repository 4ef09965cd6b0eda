//! Why a command did not do its work, with what to do about it.

use std::io::Write;
use std::path::Path;

use crate::Chain;
use crate::app::Exit;
use crate::app::config::{Config, ConfigError};
use crate::app::paths::folder_obstacle;
use crate::app::reporting::ReportingError;
use crate::app::stdout::StdoutError;
use crate::app::telemetry::TelemetryError;
use crate::log_queue;
use crate::source::reefguide::ApiError;
use crate::storage::{InputCache, StorageError};

/// Why a command ended before it had done its work.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) exit: Exit,
    pub(super) message: String,
}

impl Problem {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }

    /// Prints it; stderr may have no reader.
    pub(super) fn told(self) -> Exit {
        let line = format!("error: {}\n", self.message);
        let _ = log_queue::stderr().write_all(line.as_bytes());
        self.exit
    }
}

impl From<ConfigError> for Problem {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Config, error.to_string())
    }
}

impl From<StdoutError> for Problem {
    fn from(error: StdoutError) -> Self {
        Self::new(Exit::Unwritten, Chain(&error).to_string())
    }
}

impl From<TelemetryError> for Problem {
    fn from(error: TelemetryError) -> Self {
        Self::new(Exit::Config, Chain(&error).to_string())
    }
}

impl From<ReportingError> for Problem {
    fn from(error: ReportingError) -> Self {
        Self::new(Exit::Config, Chain(&error).to_string())
    }
}

/// What to do about an error of the API, by the names of the settings.
pub(super) fn api_problem(config: &Config, error: &ApiError) -> Problem {
    let cause = match error {
        ApiError::Login(error) => &**error,
        error => error,
    };
    if let ApiError::Client { .. } = cause {
        return Problem::new(Exit::Config, Chain(error).to_string());
    }
    let (exit, remedy) = if error.is_denied() {
        (
            Exit::Refused,
            "check WORKER_USERNAME and WORKER_PASSWORD, and that the account may work on jobs",
        )
    } else if let ApiError::Redirected {
        endpoint: Some(_), ..
    } = cause
    {
        (Exit::Config, "set it to the address that is named here")
    } else if error.is_foreign() {
        (
            Exit::Config,
            "check that it is the address of a ReefGuide API, with no proxy, login portal or \
             maintenance page before it",
        )
    } else if error.is_retryable() {
        (Exit::Unreachable, "check it, and that the API is up")
    } else if matches!(cause, ApiError::Invalid { .. }) {
        (
            Exit::Config,
            "it refuses a value: check JOB_TYPES and WORKER_USERNAME",
        )
    } else {
        (
            Exit::Config,
            "check that it is the address of a ReefGuide API",
        )
    };
    let error = Chain(error);
    Problem::new(
        exit,
        format!(
            "{error}\n  API_ENDPOINT is {}; {remedy}",
            config.api_endpoint
        ),
    )
}

/// What to do about an error of the bucket, by the names of the settings.
pub(super) fn bucket_problem(config: &Config, error: &StorageError) -> Problem {
    let (exit, remedy) = match error {
        StorageError::Credentials { .. } | StorageError::AccessDenied { .. } => (Exit::Refused, ""),
        // It was tried for long enough: what is in the way stays there.
        StorageError::Foreign { .. } => (
            Exit::Config,
            "; check that it is the address of an S3 server",
        ),
        _ if error.is_retryable() => (Exit::Unreachable, ""),
        // Of a bucket no S3 server says that: it has to be something else.
        StorageError::NoSuchObject { .. } | StorageError::Server { .. } => (
            Exit::Config,
            "; check that it is the address of an S3 server",
        ),
        _ => (Exit::Config, ""),
    };
    let error = Chain(error);
    let endpoint = config.s3_endpoint.as_deref();
    let endpoint = endpoint.unwrap_or("not set, which means Amazon S3");
    Problem::new(
        exit,
        format!("{error}\n  S3_ENDPOINT is {endpoint}{remedy}"),
    )
}

pub(super) fn cache_problem(cache: &InputCache, error: &StorageError) -> Problem {
    let folder = cache.folder().parent().unwrap_or(cache.folder());
    let error = match folder_obstacle(folder) {
        Some(obstacle) => format!(
            "cannot make folder {}: {obstacle}",
            cache.folder().display()
        ),
        None => Chain(error).to_string(),
    };
    let message = format!(
        "{error}\n  CACHE_PATH is {}; name a folder in which files can be written and locked, or unset it",
        folder.display()
    );
    Problem::new(Exit::Config, message)
}

pub(super) fn scratch_problem(folder: &Path, error: &std::io::Error) -> Problem {
    let error = folder_obstacle(folder).unwrap_or_else(|| error.to_string());
    let folder = folder.display();
    let message = format!(
        "cannot write into {folder}: {error}\n  DATA_SCRATCH_SPACE is {folder}; name a folder that can \
         be written"
    );
    Problem::new(Exit::Config, message)
}
