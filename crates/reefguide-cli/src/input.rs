//! Reading what users provide: text files, paths and environment variables.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use reefguide_client::job::JobId;
use reefguide_transport::text::{self, TextError};

/// Why input cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Text(#[from] TextError),
    #[error(transparent)]
    Home(#[from] UnknownHome),
}

/// A path that begins with a `~` that cannot be expanded.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{path}` begins with a `~` that cannot be expanded here: write the whole path, or ./{path}"
)]
pub(crate) struct UnknownHome {
    path: String,
}

/// Reads a text file, or stdin for `-`.
pub(crate) fn read_text(from: &str) -> Result<String, InputError> {
    let bytes = match from {
        "-" => {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes)?;
            bytes
        }
        file => std::fs::read(expand_home(file.into())?)?,
    };
    Ok(text::decode(&bytes)?.to_owned())
}

/// Parses the id of a job.
pub(crate) fn job_id() -> impl TypedValueParser<Value = JobId> {
    clap::value_parser!(i64).range(1..).map(JobId::from)
}

/// Parses a path and expands its `~`, which a shell leaves alone in `--to=~/files`.
pub(crate) fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().try_map(expand_home)
}

/// Replaces a leading `~` with the home folder.
pub(crate) fn expand_home(path: OsString) -> Result<PathBuf, UnknownHome> {
    let path = PathBuf::from(path);
    if !path.as_os_str().as_encoded_bytes().starts_with(b"~") {
        return Ok(path);
    }
    let home = std::env::home_dir().filter(|home| home.is_absolute());
    match (path.strip_prefix("~"), home) {
        (Ok(below), Some(home)) => Ok(home.join(below)),
        _ => Err(UnknownHome {
            path: path.display().to_string(),
        }),
    }
}

/// The value of an environment variable, unless it is unset or empty.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Treats an empty value as missing, since an option may come from an empty environment variable.
pub(crate) fn non_empty(value: Option<&str>) -> Option<&str> {
    value.filter(|value| !value.trim().is_empty())
}
