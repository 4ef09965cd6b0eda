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
