//! Whether a file can be started as a program, and if not, why. For a script whose interpreter is missing, the
//! system's error is only "no such file".

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{Access, access};

use super::shebang::{CARRIAGE_RETURN, Shebang, head};

pub(super) fn is_executable(file: &Path) -> bool {
    file.is_file() && access(file, Access::EXEC_OK).is_ok()
}

/// Why a file cannot be started, as a phrase to follow its path; `None` if no reason is visible or there is no file.
pub(super) fn why_not_executable(file: &Path) -> Option<String> {
    let Ok(metadata) = fs::metadata(file) else {
        let target = fs::read_link(file).ok()?;
        return Some(format!(
            "is a symbolic link to {}, which is not there",
            target.display()
        ));
    };
    if metadata.is_dir() {
        return Some("is a folder".into());
    }
    if !metadata.is_file() {
        return Some("is not a file".into());
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        return Some(format!(
            "is not executable: run `chmod +x {}`",
            file.display()
        ));
    }
    if !is_executable(file) {
        return Some(
            "may not be executed by this user, or its disk is mounted with `noexec`".into(),
        );
    }
    match head(file)?.as_slice() {
        [] => Some("is empty".into()),
        [0xef, 0xbb, 0xbf, b'#', b'!', ..] => {
            Some("has a byte order mark before its `#!`: save it without one".into())
        }
        [b'#', b'!', line @ ..] => why_not_interpreted(line),
        elf @ [0x7f, b'E', b'L', b'F', ..] => Some(why_not_loaded(elf)),
        _ => Some("is neither a binary nor a script whose first line names its interpreter, such as `#!/bin/sh`".into()),
    }
}

fn why_not_interpreted(text: &[u8]) -> Option<String> {
    let line = Shebang::parse(text);
    if line.carriage_return {
        return Some(CARRIAGE_RETURN.into());
    }
    let interpreter = line.interpreter.display();
    if line.interpreter.as_os_str().is_empty() {
        Some("names no interpreter after `#!`".into())
    } else if !line.interpreter.is_absolute() {
        Some(format!(
            "needs the interpreter {interpreter}, which has to be an absolute path after `#!`"
        ))
    } else if !line.interpreter.exists() {
        Some(format!(
            "needs the interpreter {interpreter}, which is not there: install it, or correct the `#!` line"
        ))
    } else if !is_executable(line.interpreter) {
        Some(format!(
            "needs the interpreter {interpreter}, which cannot be executed"
        ))
    } else {
        None
    }
}

/// Compares the binary with the worker's own, which this machine can run.
fn why_not_loaded(elf: &[u8]) -> String {
    let own = std::env::current_exe().ok().and_then(|own| head(&own));
    // Word size, byte order, processor.
    let kind = |elf: &[u8]| Some((elf.get(4..6)?.to_owned(), elf.get(18..20)?.to_owned()));
    match own.is_some_and(|own| kind(&own) != kind(elf)) {
        true => "was built for another kind of processor".into(),
        false => {
            "was built for a system with other libraries: its loader is not there, or it is damaged"
                .into()
        }
    }
}
