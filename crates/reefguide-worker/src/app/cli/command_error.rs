//! Why a command failed, with what to do about it in terms of the settings.

use std::error::Error;
use std::io::Write;
use std::iter;
use std::path::Path;

use crate::Chain;
use crate::app::Exit;
use crate::app::config::{ApiAccount, Config, ConfigError};
use crate::app::platform::paths::folder_obstacle;
use crate::app::reporting::ReportingError;
use crate::app::stdout::StdoutError;
use crate::app::telemetry::TelemetryError;
use crate::log_queue;
use crate::source::reefguide::ApiError;
use crate::storage::{InputCache, StorageError};

/// Why a command failed.
#[derive(Debug)]
pub(super) struct CommandError {
    pub(super) exit: Exit,
    pub(super) message: String,
}

impl CommandError {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }

    /// Adds what to do about it, if that is known.
    pub(super) fn with_help(mut self, help: Option<&str>) -> Self {
        if let Some(help) = help {
            self.message += &format!("; {help}");
        }
        self
    }

    /// Prints the error; stderr may have no reader.
    pub(super) fn print(self) -> Exit {
        let line = format!("error: {}\n", self.message);
        let _ = log_queue::stderr().write_all(line.as_bytes());
        self.exit
    }
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        Self::new(Exit::Config, error.to_string())
    }
}

impl From<StdoutError> for CommandError {
    fn from(error: StdoutError) -> Self {
        Self::new(Exit::Unwritten, Chain(&error).to_string())
    }
}

impl From<TelemetryError> for CommandError {
    fn from(error: TelemetryError) -> Self {
        Self::new(Exit::Config, Chain(&error).to_string())
    }
}

impl From<ReportingError> for CommandError {
    fn from(error: ReportingError) -> Self {
        Self::new(Exit::Config, Chain(&error).to_string())
    }
}

/// An error of the API, with the settings to check.
pub(super) fn api_error(account: &ApiAccount, error: &ApiError) -> CommandError {
    let cause = match error {
        ApiError::Login(error) => &**error,
        error => error,
    };
    if let ApiError::Client { .. } = cause {
        return CommandError::new(Exit::Config, Chain(error).to_string());
    }
    let (exit, help) = if error.is_denied() {
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
    CommandError::new(
        exit,
        format!("{error}\n  API_ENDPOINT is {}; {help}", account.endpoint),
    )
}

/// An error of the bucket at the start, with the settings to check.
pub(super) fn bucket_error(config: &Config, error: &StorageError) -> CommandError {
    let exit = match error {
        StorageError::Credentials { .. } | StorageError::AccessDenied { .. } => Exit::Refused,
        // It has been retried for as long as a start may take: the address is wrong.
        StorageError::Foreign { .. } => Exit::Config,
        _ if error.is_retryable() => Exit::Unreachable,
        _ => Exit::Config,
    };
    let endpoint = config.s3_endpoint.as_deref();
    let endpoint = endpoint.unwrap_or("not set, which means Amazon S3");
    let help = match error {
        // An S3 server does not answer so about a bucket: something else does.
        StorageError::NoSuchObject { .. } | StorageError::Server { .. }
            if !error.is_retryable() =>
        {
            Some("check that it is the address of an S3 server")
        }
        error => help(error),
    };
    let message = format!("{}\n  S3_ENDPOINT is {endpoint}", Chain(error));
    CommandError::new(exit, message).with_help(help)
}

/// The settings to check, if an error of the storage is what is behind `error`.
pub(super) fn storage_help(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut errors = iter::successors(Some(error), |&error| error.source());
    errors.find_map(|error| help(error.downcast_ref()?))
}

/// What to do about an error of the storage, in terms of the settings.
fn help(error: &StorageError) -> Option<&'static str> {
    Some(match error {
        StorageError::NoSuchBucket { .. } => {
            "check S3_BUCKET_NAME, or the storage URI of the assignment"
        }
        StorageError::Credentials { .. } => {
            "check MINIO_USERNAME and MINIO_PASSWORD, or AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and \
             AWS_SESSION_TOKEN"
        }
        StorageError::NoCredentials { .. } => {
            "set MINIO_USERNAME and MINIO_PASSWORD, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run \
             with a task role"
        }
        StorageError::AccessDenied { .. } => {
            "check the policies of the worker's task role, or of the user that AWS_ACCESS_KEY_ID or \
             MINIO_USERNAME names"
        }
        StorageError::Region { .. } => "set AWS_REGION to the bucket's region",
        StorageError::Unreachable { .. } => "check S3_ENDPOINT and the network",
        StorageError::Proxy { .. } => {
            "check HTTPS_PROXY and HTTP_PROXY, or name the server's host in NO_PROXY"
        }
        StorageError::Foreign { .. } => {
            "check that S3_ENDPOINT is the address of an S3 server, and what is between this machine and S3"
        }
        StorageError::Settings { .. } => {
            "check S3_ENDPOINT (a URL such as http://localhost:9000) and AWS_REGION"
        }
        StorageError::Publish { source, .. } => return help(source),
        _ => return None,
    })
}

pub(super) fn cache_error(cache: &InputCache, error: &StorageError) -> CommandError {
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
    CommandError::new(Exit::Config, message)
}

pub(super) fn scratch_error(folder: &Path, error: &std::io::Error) -> CommandError {
    let error = folder_obstacle(folder).unwrap_or_else(|| error.to_string());
    let folder = folder.display();
    let message = format!(
        "cannot write into {folder}: {error}\n  DATA_SCRATCH_SPACE is {folder}; name a folder that can \
         be written"
    );
    CommandError::new(Exit::Config, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{S3Credentials, S3Options, Storage};

    #[tokio::test]
    async fn the_help_for_outputs_that_cannot_be_published_is_that_for_the_first_failure() {
        let to: crate::storage::StorageUri = "s3://bucket/outputs".parse().unwrap();
        let options = S3Options::default()
            .with_endpoint("minio".to_owned())
            .with_credentials(S3Credentials {
                access_key: "a".into(),
                secret_key: "s".into(),
                session_token: None,
            });
        let source = Storage::s3(options).upload_bytes("", &to).await;
        let source = source.unwrap_err();
        assert!(
            matches!(source, StorageError::Settings { .. }),
            "{source:?}"
        );
        let expected = help(&source);
        assert!(expected.is_some_and(|help| help.contains("S3_ENDPOINT")));
        let error = StorageError::Publish {
            to,
            removed: 0,
            left: 0,
            source: Box::new(source),
        };
        assert_eq!(storage_help(&error), expected);
    }
}
