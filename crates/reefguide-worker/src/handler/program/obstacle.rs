//! What keeps a file from being started as a program. The system says no more than "no such file" of a script
//! whose interpreter is missing.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::lookup::{Places, is_executable};

/// How much of a file's beginning the system looks at.
const HEAD: u64 = 256;
const CARRIAGE_RETURN: &str = "has a carriage return at the end of its first line, as on Windows: save it with line feeds (LF) only";

/// What is wrong with a file, to be read after its path; `None` if nothing shows, or there is no file.
pub(super) fn obstacle(file: &Path) -> Option<String> {
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
        [b'#', b'!', line @ ..] => interpreter_obstacle(line),
        elf @ [0x7f, b'E', b'L', b'F', ..] => Some(elf_obstacle(elf)),
        _ => Some("is neither a binary nor a script whose first line names its interpreter, such as `#!/bin/sh`".into()),
    }
}

/// What is wrong with the first line of a script that ended with this code, to be read after its path.
pub(super) fn script_obstacle(file: &Path, code: i32, places: &Places) -> Option<String> {
    let head = head(file)?;
    let line = Interpreter::of(head.strip_prefix(b"#!")?);
    if line.carriage_return {
        return Some(CARRIAGE_RETURN.into());
    }
    // What `env` exits with when it cannot start what it is given.
    if !matches!(code, 126 | 127) || line.program.file_name() != Some(OsStr::new("env")) {
        return None;
    }
    let mut words = line.arguments.split(u8::is_ascii_whitespace);
    let named =
        words.find(|word| !word.is_empty() && !word.starts_with(b"-") && !word.contains(&b'='))?;
    let named = OsStr::from_bytes(named);
    let not_found = places.find(named).err()?;
    Some(format!(
        "needs the interpreter {}: {not_found}",
        named.display()
    ))
}

fn head(file: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    File::open(file)
        .ok()?
        .take(HEAD)
        .read_to_end(&mut head)
        .ok()?;
    Some(head)
}

/// What follows `#!`.
struct Interpreter<'a> {
    program: &'a Path,
    arguments: &'a [u8],
    carriage_return: bool,
}

impl<'a> Interpreter<'a> {
    fn of(text: &'a [u8]) -> Self {
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
        let (program, arguments) = line.split_at(end);
        Self {
            program: Path::new(OsStr::from_bytes(program)),
            arguments,
            carriage_return,
        }
    }
}

fn interpreter_obstacle(text: &[u8]) -> Option<String> {
    let line = Interpreter::of(text);
    if line.carriage_return {
        return Some(CARRIAGE_RETURN.into());
    }
    let program = line.program.display();
    if line.program.as_os_str().is_empty() {
        Some("names no interpreter after `#!`".into())
    } else if !line.program.is_absolute() {
        Some(format!(
            "needs the interpreter {program}, which has to be an absolute path after `#!`"
        ))
    } else if !line.program.exists() {
        Some(format!(
            "needs the interpreter {program}, which is not there: install it, or correct the `#!` line"
        ))
    } else if !is_executable(line.program) {
        Some(format!(
            "needs the interpreter {program}, which cannot be executed"
        ))
    } else {
        None
    }
}

/// Compares with the worker's own program, which runs here.
fn elf_obstacle(head: &[u8]) -> String {
    let own = std::env::current_exe()
        .ok()
        .and_then(|own| self::head(&own));
    // Word size, byte order, processor.
    let kind = |head: &[u8]| Some((head.get(4..6)?.to_owned(), head.get(18..20)?.to_owned()));
    match own.is_some_and(|own| kind(&own) != kind(head)) {
        true => "was built for another kind of processor".into(),
        false => {
            "was built for a system with other libraries: its loader is not there, or it is damaged"
                .into()
        }
    }
}
