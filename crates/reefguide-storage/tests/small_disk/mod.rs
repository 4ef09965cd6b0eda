//! Runs a test in a separate process that has a small file system mounted.

use std::path::Path;
use std::process::Command;

/// Runs the test `test` of this program where `folder` is an empty file system of `size`, as in `8m`, and the
/// variable `name` of the environment is `value`. It has to pass. `false` if no file system can be mounted here.
pub(crate) fn run_with(size: &str, folder: &Path, test: &str, (name, value): (&str, &str)) -> bool {
    let folder = folder.to_str().unwrap();
    let mount = format!("mount -t tmpfs -o size={size} none '{folder}' && exec \"$0\" \"$@\"");
    let status = |command: &str, args: &[&str]| {
        Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &mount])
            .arg(command)
            .args(args)
            .env(name, value)
            .status()
    };
    if !status("true", &[]).is_ok_and(|status| status.success()) {
        eprintln!("not tried: no file system can be mounted here");
        return false;
    }
    let program = std::env::current_exe().unwrap();
    let ended = status(program.to_str().unwrap(), &["--exact", test]).unwrap();
    assert!(ended.success(), "{test}: {ended}");
    true
}
