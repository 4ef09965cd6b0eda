//! What people give a command to read: files as other programs write them, and names as they type them.

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};

/// Why a text cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TextError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it is UTF-16: save it as UTF-8")]
    Utf16,
    #[error("it is not UTF-8, at byte {at}: save it as UTF-8")]
    NotUtf8 { at: usize },
}

/// What is in a file, or comes from stdin (`-`).
pub(crate) fn text(from: &str) -> Result<String, TextError> {
    let bytes = match from {
        "-" => {
            let mut bytes = Vec::new();
            io::stdin().read_to_end(&mut bytes)?;
            bytes
        }
        file => std::fs::read(at_home(file.into()))?,
    };
    decoded(bytes)
}

/// A text without the mark that some programs put before it.
pub(crate) fn decoded(bytes: Vec<u8>) -> Result<String, TextError> {
    match *bytes {
        // With its mark, or ASCII without.
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..] => {
            return Err(TextError::Utf16);
        }
        _ => {}
    }
    let mut text = String::from_utf8(bytes).map_err(|error| TextError::NotUtf8 {
        at: error.utf8_error().valid_up_to() + 1,
    })?;
    if text.starts_with('\u{feff}') {
        text.remove(0);
    }
    Ok(text)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_is_read_as_editors_save_it() {
        let read = |bytes: &[u8]| decoded(bytes.to_vec()).map_err(|error| error.to_string());
        assert_eq!(read(b"\xef\xbb\xbf{}").unwrap(), "{}");
        assert_eq!(read(b"\xef\xbb\xbf").unwrap(), "");
        assert_eq!(read(b"5").unwrap(), "5");
        assert_eq!(read("\"å\"".as_bytes()).unwrap(), "\"å\"");
        let utf16 = "it is UTF-16: save it as UTF-8";
        for bytes in [
            b"\xff\xfe{\0}\0" as &[u8],
            b"\xfe\xff\0{\0}",
            b"{\0}\0",
            b"\0{\0}",
        ] {
            assert_eq!(read(bytes).unwrap_err(), utf16);
        }
        assert_eq!(
            read(b"{\"a\": \"\xe5\"}").unwrap_err(),
            "it is not UTF-8, at byte 8: save it as UTF-8"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_read_with_its_mark_and_without(text in "[^\\u{feff}\\x00]{0,20}") {
            prop_assert_eq!(&decoded(text.clone().into_bytes()).unwrap(), &text);
            let marked = format!("\u{feff}{text}").into_bytes();
            prop_assert_eq!(decoded(marked).unwrap(), text);
        }
    }
}
