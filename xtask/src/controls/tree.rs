//! A copy of the workspace to take guards out of.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use super::guards::Guard;
use crate::failure::{Doing, Failure};
use crate::process::Process;

pub(super) struct Tree {
    folder: PathBuf,
}

/// A guard that is taken out; dropped, it is back.
pub(super) struct Mutation {
    file: PathBuf,
    source: String,
}

impl Tree {
    /// Copies every file that git knows or would know. What is there already and the same keeps its time, so that it is
    /// not built again.
    pub(super) async fn copy(workspace: &Path) -> Result<Self, Failure> {
        let mut list = Command::new("git");
        list.args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(workspace)
        .stdout(Stdio::piped());
        let mut git = Process::start("git ls-files", &mut list)?;
        let mut names = String::new();
        if let Some(mut stdout) = git.take_stdout() {
            stdout
                .read_to_string(&mut names)
                .await
                .doing("reading what git lists")?;
        }
        if !git.wait().await?.success() {
            return Err(Failure::new(
                "git does not list the files of the workspace; is it a clone?",
            ));
        }
        let folder = workspace.join("target/controls");
        for name in names.split_terminator('\0') {
            let (from, to) = (workspace.join(name), folder.join(name));
            let copying = || format!("copying {}", from.display());
            // A file that was removed and not committed yet.
            if !from.is_file() {
                continue;
            }
            let bytes = std::fs::read(&from).doing(copying())?;
            if std::fs::read(&to).is_ok_and(|there| there == bytes) {
                continue;
            }
            if let Some(parent) = to.parent() {
                std::fs::create_dir_all(parent).doing(copying())?;
            }
            std::fs::write(&to, bytes).doing(copying())?;
        }
        Ok(Self { folder })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Takes a guard out.
    pub(super) fn without(&self, guard: &Guard) -> Result<Mutation, Failure> {
        let file = self.folder.join(guard.file);
        let source =
            std::fs::read_to_string(&file).doing(format_args!("reading {}", guard.file))?;
        if source.matches(guard.text).count() != 1 {
            let Guard { name, file, .. } = guard;
            return Err(Failure::new(format!(
                "the guard `{name}` is not in {file}, or more than once"
            )));
        }
        let without = source.replace(guard.text, guard.without);
        std::fs::write(&file, without).doing(format_args!("writing {}", guard.file))?;
        Ok(Mutation { file, source })
    }
}

impl Drop for Mutation {
    fn drop(&mut self) {
        // If that fails, the next copy puts it right.
        let _ = std::fs::write(&self.file, &self.source);
    }
}
