//! Text files in the encodings that editors write.

use std::io;

/// The text of a file, without a byte order mark.
pub(super) fn decoded(bytes: Vec<u8>) -> io::Result<String> {
    let refused = |encoding| io::Error::other(format!("it is {encoding}: save it as UTF-8"));
    // UTF-16 with a byte order mark, or ASCII characters in UTF-16 without one.
    if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, 1..0x80, ..] | [1..0x80, 0, ..] = *bytes {
        return Err(refused("UTF-16"));
    }
    let text = String::from_utf8(bytes).map_err(|_| refused("not UTF-8"))?;
    match text.strip_prefix('\u{feff}') {
        Some(unmarked) => Ok(unmarked.to_owned()),
        None => Ok(text),
    }
}
