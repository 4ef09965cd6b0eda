//! Runs commands, with their output when they fail.

use std::path::Path;
use std::process::{Command, Output};

/// The repository whose working tree is checked.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Runs a command and returns its stdout and stderr.
pub(crate) fn try_run(command: &mut Command) -> Result<String, String> {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let output = [stdout, stderr].concat();
    let output = String::from_utf8_lossy(&output).into_owned();
    if status.success() {
        Ok(output)
    } else {
        Err(output)
    }
}

/// Runs a command that has to succeed.
pub(crate) fn run(command: &mut Command) -> String {
    try_run(command).unwrap_or_else(|output| panic!("{command:?} failed:\n{output}"))
}

/// Whether a command is on PATH. A missing one fails the test if `TEMPLATE_CHECK_TOOLS` names it; otherwise a line on
/// stderr says that the test is skipped.
pub(crate) fn has(tool: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(tool).is_file()));
    if !found {
        let required = std::env::var("TEMPLATE_CHECK_TOOLS").unwrap_or_default();
        let required = required.split(' ').any(|required| required == tool);
        assert!(!required, "{tool} is not on PATH");
        eprintln!("SKIPPED: {tool} is not on PATH");
    }
    found
}
