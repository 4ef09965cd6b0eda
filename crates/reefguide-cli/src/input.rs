//! What people give a command to read: files as other programs write them, and names as they type them.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use reefguide_transport::text::{self, TextError};

/// Why a text cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Text(#[from] TextError),
    #[error(transparent)]
    Home(#[from] UnknownHome),
}

/// A `~` that is no folder here.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{path}` begins with a `~` that stands for no known folder: write the whole path, or ./{path}"
)]
pub(crate) struct UnknownHome {
    path: String,
}

/// What is in a file, or comes from stdin (`-`).
pub(crate) fn text(from: &str) -> Result<String, InputError> {
    let bytes = match from {
        "-" => {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes)?;
            bytes
        }
        file => std::fs::read(at_home(file.into())?)?,
    };
    Ok(text::decode(&bytes)?.to_owned())
}

/// The path of an option, in which a shell leaves `~` as it is: `--to=~/files`.
pub(crate) fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().try_map(at_home)
}

/// A path whose `~` is the home folder.
pub(crate) fn at_home(path: OsString) -> Result<PathBuf, UnknownHome> {
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

/// The value of an environment variable, unless it is empty.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// A value that may come from an environment variable, where an empty one is none.
pub(crate) fn filled(value: Option<&str>) -> Option<&str> {
    value.filter(|value| !value.trim().is_empty())
}
