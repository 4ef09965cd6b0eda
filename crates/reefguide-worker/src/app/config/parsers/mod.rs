//! How the texts of variables are read, and what each becomes.

mod jobs;
mod logging;
mod numbers;
mod opentelemetry;
mod storage;

pub(super) use self::jobs::*;
pub(super) use self::logging::*;
pub(super) use self::numbers::*;
pub(super) use self::opentelemetry::*;
pub(super) use self::storage::*;

use std::path::PathBuf;

use secrecy::SecretString;

use crate::address::{self, AddressError};
use crate::app::platform::paths;

/// Reads the text of a variable.
pub(super) trait ValueParser {
    type Value;

    /// Whether the text must never be shown.
    const SECRET: bool = false;

    /// What the text must be, as a noun phrase.
    fn expected(&self) -> String;

    /// Reads a text that is not empty. The error is the help, if there is better help than to correct the value.
    fn parse(&self, text: &str) -> Result<Self::Value, Option<String>>;
}

pub(super) const fn is_secret<F: ValueParser>(_: &F) -> bool {
    F::SECRET
}

pub(super) struct Text;

impl ValueParser for Text {
    type Value = String;

    fn expected(&self) -> String {
        "a string".into()
    }

    fn parse(&self, text: &str) -> Result<String, Option<String>> {
        match text.trim() {
            "" => Err(None),
            text => Ok(text.into()),
        }
    }
}

/// Kept as it is: a password may begin or end with a space.
pub(super) struct Secret;

impl ValueParser for Secret {
    type Value = SecretString;

    const SECRET: bool = true;

    fn expected(&self) -> String {
        "a secret string".into()
    }

    fn parse(&self, text: &str) -> Result<SecretString, Option<String>> {
        Ok(text.into())
    }
}

/// An address without its trailing slash, so that paths can be appended.
pub(super) struct HttpUrl;

impl ValueParser for HttpUrl {
    type Value = String;

    fn expected(&self) -> String {
        "an http or https URL, such as http://localhost:9000".into()
    }

    fn parse(&self, text: &str) -> Result<String, Option<String>> {
        address::parse(text).map_err(AddressError::remedy)
    }
}

/// The API's address, to which the client adds `/api` itself.
pub(super) struct ApiUrl;

impl ValueParser for ApiUrl {
    type Value = String;

    fn expected(&self) -> String {
        "an http or https URL without `/api`, such as https://reefguide.example.org".into()
    }

    fn parse(&self, text: &str) -> Result<String, Option<String>> {
        let url = HttpUrl.parse(text)?;
        match address::without_api(&url) {
            Some(base) => Err(Some(format!("write {base}, the worker adds `/api` itself"))),
            None => Ok(url),
        }
    }
}

pub(super) struct Folder;

impl ValueParser for Folder {
    type Value = PathBuf;

    fn expected(&self) -> String {
        "the path of a folder".into()
    }

    fn parse(&self, text: &str) -> Result<PathBuf, Option<String>> {
        let path = PathBuf::from(Text.parse(text)?);
        paths::refuse_tilde(&path).map_err(Some)?;
        Ok(path)
    }
}
