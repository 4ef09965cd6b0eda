//! Text files as people and their programs write them.

use std::io;

/// The text of a file, without a byte order mark.
pub(super) fn decoded(bytes: Vec<u8>) -> io::Result<String> {
    let refused = |encoding| io::Error::other(format!("it is {encoding}: save it as UTF-8"));
    // With its mark, or ASCII without.
    if let [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, 1..0x80, ..] | [1..0x80, 0, ..] = *bytes {
        return Err(refused("UTF-16"));
    }
    let text = String::from_utf8(bytes).map_err(|_| refused("not UTF-8"))?;
    match text.strip_prefix('\u{feff}') {
        Some(unmarked) => Ok(unmarked.to_owned()),
        None => Ok(text),
    }
}
