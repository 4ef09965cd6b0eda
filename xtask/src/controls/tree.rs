//! A copy of the workspace from which guards are removed.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::guards::Guard;
use crate::failure::{Doing, Failure};
use crate::process::output;

pub(super) struct Tree {
    folder: PathBuf,
}

/// A removed guard, which is restored on drop.
pub(super) struct Mutation {
    file: PathBuf,
    source: String,
}

impl Tree {
    /// Copies every file that git tracks or would track. An unchanged file keeps its modification time, so that cargo does
    /// not build it again.
    pub(super) async fn copy(workspace: &Path) -> Result<Self, Failure> {
        let mut list = Command::new("git");
        list.args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(workspace);
        let (status, names, err) = output("git ls-files", &mut list).await?;
        if !status.success() {
            return Err(Failure::new(format!(
                "git ls-files failed: run this in a clone of the repository: {err}"
            )));
        }
        let folder = workspace.join("target/controls");
        for name in names.split_terminator('\0') {
            let (from, to) = (workspace.join(name), folder.join(name));
            let copying = || format!("copying {}", from.display());
            // A deleted file, whose deletion is not committed.
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

    /// Removes a guard.
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
        // If this fails, the next copy restores the file.
        let _ = std::fs::write(&self.file, &self.source);
    }
}
