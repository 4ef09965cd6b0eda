//! Running commands, with all that they said when they fail.

use std::path::Path;
use std::process::{Command, Output};

/// The repository, whose working tree is what is checked.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Runs a command; its stdout and stderr, whether it succeeded or not.
pub(crate) fn try_run(command: &mut Command) -> Result<String, String> {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = [stdout, stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if status.success() {
        Ok(said)
    } else {
        Err(said)
    }
}

/// Runs a command that has to succeed.
pub(crate) fn run(command: &mut Command) -> String {
    try_run(command).unwrap_or_else(|said| panic!("{command:?} failed:\n{said}"))
}

/// Whether a command is on this machine. One that is missing is a failure if `TEMPLATE_CHECK_TOOLS` names it; otherwise
/// what needs it is skipped, and that is said.
pub(crate) fn has(tool: &str) -> bool {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(tool).is_file()));
    if !found {
        let demanded = std::env::var("TEMPLATE_CHECK_TOOLS").unwrap_or_default();
        let demanded = demanded.split(' ').any(|demanded| demanded == tool);
        assert!(!demanded, "{tool} is not on PATH");
        eprintln!("SKIPPED: {tool} is not on PATH");
    }
    found
}
