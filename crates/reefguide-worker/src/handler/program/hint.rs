//! What is wrong with a script that started and failed at once.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::search_path::SearchPath;
use super::shebang::{CARRIAGE_RETURN, Shebang, head};

/// What is wrong with the first line of a script that ended with this exit code, as a phrase to follow the script's
/// path; `None` if the line does not explain the code.
pub(super) fn script_hint(file: &Path, code: i32, search_path: &SearchPath) -> Option<String> {
    let head = head(file)?;
    let line = Shebang::parse(head.strip_prefix(b"#!")?);
    if line.carriage_return {
        return Some(CARRIAGE_RETURN.into());
    }
    // The exit codes of `env` when it cannot start a program.
    if !matches!(code, 126 | 127) || line.interpreter.file_name() != Some(OsStr::new("env")) {
        return None;
    }
    let mut words = line.arguments.split(u8::is_ascii_whitespace);
    let named =
        words.find(|word| !word.is_empty() && !word.starts_with(b"-") && !word.contains(&b'='))?;
    let named = OsStr::from_bytes(named);
    let not_found = search_path.find(named).err()?;
    Some(format!(
        "needs the interpreter {}: {not_found}",
        named.display()
    ))
}
