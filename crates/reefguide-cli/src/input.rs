//! What people give a command to read: files as other programs write them, and names as they type them.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use reefguide_worker::text::{self, TextError};

/// Why a text cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Text(#[from] TextError),
}

/// What is in a file, or comes from stdin (`-`).
pub(crate) fn text(from: &str) -> Result<String, InputError> {
    let bytes = match from {
        "-" => {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes)?;
            bytes
        }
        file => std::fs::read(at_home(file.into()))?,
    };
    Ok(text::decode(&bytes)?.to_owned())
}

/// The path of an option, in which a shell leaves `~` as it is: `--to=~/files`.
pub(crate) fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(at_home)
}

/// A path whose `~` is the home folder, if there is one.
pub(crate) fn at_home(path: OsString) -> PathBuf {
    let path = PathBuf::from(path);
    let home = std::env::home_dir().filter(|home| home.is_absolute());
    match (path.strip_prefix("~"), home) {
        (Ok(below), Some(home)) => home.join(below),
        _ => path,
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
