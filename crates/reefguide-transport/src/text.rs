//! Reads text files that may have a byte order mark or another encoding.
//!
//! ```
//! use reefguide_transport::text;
//!
//! let payload: serde_json::Value = text::json(b"\xef\xbb\xbf{ \"id\": 7 }\r\n")?;
//! assert_eq!(payload["id"], 7);
//! # Ok::<(), text::TextError>(())
//! ```

use std::str::Utf8Error;

use serde::de::DeserializeOwned;

/// Why bytes are not text or JSON. Worded to follow the file's name and a colon.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// UTF-16, which some editors call Unicode, and which `>` in Windows PowerShell 5 writes.
    #[error("it is UTF-16, not UTF-8: save it as UTF-8")]
    Utf16,
    /// Another encoding, or binary content.
    #[error("line {line} is not UTF-8: save it as UTF-8")]
    Encoding {
        /// The line, counted from 1.
        line: usize,
        /// The position in the file.
        source: Utf8Error,
    },
    /// Not JSON, or not of the expected type; with line and column.
    #[error("{0}")]
    Json(#[source] serde_json::Error),
}

/// The text of a file, without a byte order mark at its start.
///
/// # Errors
/// [`TextError::Utf16`] and [`TextError::Encoding`].
pub fn decode(bytes: &[u8]) -> Result<&str, TextError> {
    // JSON and settings begin with an ASCII character, next to which UTF-16 has a zero byte.
    if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, 1..0x80, ..] | [1..0x80, 0, ..] = bytes {
        return Err(TextError::Utf16);
    }
    let text = std::str::from_utf8(bytes).map_err(|source| {
        let before = &bytes[..source.valid_up_to()];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        TextError::Encoding { line, source }
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The JSON value in a file: like [`serde_json::from_slice`], after [`decode`].
///
/// # Errors
/// Every variant of [`TextError`].
pub fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, TextError> {
    serde_json::from_str(decode(bytes)?).map_err(TextError::Json)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn utf16(text: &str, mark: bool, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
        let mark = mark.then_some(0xfeff);
        mark.into_iter()
            .chain(text.encode_utf16())
            .flat_map(order)
            .collect()
    }

    #[test]
    fn a_byte_order_mark_and_line_ends_of_windows_do_not_matter() {
        let value: Value = json(b"\xef\xbb\xbf{\r\n  \"a\": 1\r\n}\r\n").unwrap();
        assert_eq!(value, serde_json::json!({ "a": 1 }));
        assert_eq!(decode(b"\xef\xbb\xbf").unwrap(), "");
        // It is a mark only at the start.
        assert_eq!(decode("a\u{feff}".as_bytes()).unwrap(), "a\u{feff}");
    }

    #[test]
    fn utf_16_is_named_with_and_without_a_mark() {
        for mark in [true, false] {
            for order in [u16::to_le_bytes, u16::to_be_bytes] {
                let error = decode(&utf16("{\"a\": 1}", mark, order)).unwrap_err();
                assert!(matches!(error, TextError::Utf16), "{error}");
            }
        }
    }

    #[test]
    fn errors_name_the_line() {
        let error = decode(b"{\n\"reef\": \"caf\xe9\"}").unwrap_err();
        assert_eq!(error.to_string(), "line 2 is not UTF-8: save it as UTF-8");
        let error = json::<Value>(b"\xef\xbb\xbf{\r\n\"a\": }").unwrap_err();
        assert_eq!(error.to_string(), "expected value at line 2 column 6");
    }

    proptest! {
        #[test]
        fn a_mark_does_not_change_the_text(text in "[^\u{feff}\\x00][^\\x00]{0,40}") {
            let marked = format!("\u{feff}{text}");
            prop_assert_eq!(decode(marked.as_bytes()).unwrap(), &text);
            prop_assert_eq!(decode(text.as_bytes()).unwrap(), &text);
        }

        #[test]
        fn decoding_never_panics(bytes: Vec<u8>) {
            let _ = json::<Value>(&bytes);
        }
    }
}
