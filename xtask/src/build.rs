//! Builds programs of this workspace.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::failure::{Doing, Failure};
use crate::process::Process;

/// Builds the program `name` of `package` and returns its path.
pub(crate) async fn build(
    package: &str,
    name: &str,
    scratch: &Path,
    locked: bool,
) -> Result<PathBuf, Failure> {
    let mut arguments = vec!["--quiet"];
    // Selecting xtask, too, gives dependencies the features that they were just built with.
    arguments.extend(["--package", package, "--package", env!("CARGO_PKG_NAME")]);
    arguments.extend(locked.then_some("--locked"));
    let [program] = cargo_build(&arguments, [name], scratch).await?;
    Ok(program)
}

/// Runs `cargo build` with `arguments` and returns the paths of the programs `names`.
pub(crate) async fn cargo_build<const N: usize>(
    arguments: &[&str],
    names: [&str; N],
    scratch: &Path,
) -> Result<[PathBuf; N], Failure> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--message-format=json-render-diagnostics"])
        .args(arguments)
        .current_dir(crate::workspace())
        // A killed compiler leaves temporary files.
        .env("TMPDIR", scratch)
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut cargo = Process::start("cargo build", &mut command)?;
    let mut messages = String::new();
    if let Some(mut stdout) = cargo.take_stdout() {
        let read = stdout.read_to_string(&mut messages).await;
        read.doing("reading what cargo build says")?;
    }
    let status = cargo.wait().await?;
    if !status.success() {
        return Err(Failure::new(format!("cargo build: {status}")));
    }
    let programs = names.map(|name| executable(&messages, name).ok_or(name));
    if let Some(name) = programs.iter().find_map(|program| program.as_ref().err()) {
        return Err(Failure::new(format!("cargo build names no program {name}")));
    }
    Ok(programs.map(Result::unwrap_or_default))
}

/// The path of the program `name`, from cargo's JSON messages.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Artifact {
        target: Target,
        executable: Option<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
    }
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Artifact>(line).ok())
        .filter(|artifact| artifact.target.name == name)
        .find_map(|artifact| artifact.executable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_program_is_read_from_the_messages_of_cargo() {
        let messages = r#"
{"reason":"compiler-artifact","target":{"name":"reefguide-worker"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"xtask"},"executable":"/target/xtask"}
{"reason":"compiler-artifact","target":{"name":"example-worker"},"executable":"/target/example-worker"}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(
            executable(messages, "example-worker"),
            Some("/target/example-worker".into())
        );
        assert_eq!(
            executable("warning: nothing here\n", "example-worker"),
            None
        );
    }
}
