//! The first line of a script, which names its interpreter.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How many bytes of a file the system reads to find out how to start it.
const HEAD: u64 = 256;
pub(super) const CARRIAGE_RETURN: &str = "has a carriage return at the end of its first line, as on Windows: save it with line feeds (LF) only";

/// The beginning of a file; `None` if it cannot be read.
pub(super) fn head(file: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    File::open(file)
        .ok()?
        .take(HEAD)
        .read_to_end(&mut head)
        .ok()?;
    Some(head)
}

/// The line after `#!`.
pub(super) struct Shebang<'a> {
    pub(super) interpreter: &'a Path,
    pub(super) arguments: &'a [u8],
    pub(super) carriage_return: bool,
}

impl<'a> Shebang<'a> {
    /// Parses the text after `#!`.
    pub(super) fn parse(text: &'a [u8]) -> Self {
        let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let (line, carriage_return) = match line.strip_suffix(b"\r") {
            Some(line) => (line, true),
            None => (line, false),
        };
        let line = line.trim_ascii();
        let end = line
            .iter()
            .position(u8::is_ascii_whitespace)
            .unwrap_or(line.len());
        let (interpreter, arguments) = line.split_at(end);
        Self {
            interpreter: Path::new(OsStr::from_bytes(interpreter)),
            arguments,
            carriage_return,
        }
    }
}
