//! The folder that stays after the demo.

use std::io;
use std::path::{Path, PathBuf};

use crate::failure::{Doing, Failure};

/// The folder for outputs and the worker's log. It is removed on drop unless it is kept.
#[derive(Debug)]
pub(super) struct Results {
    folder: PathBuf,
    kept: bool,
}

impl Results {
    /// Creates the folder `keep`, or an empty `target/demo`.
    pub(super) fn create(keep: Option<PathBuf>) -> Result<Self, Failure> {
        let (folder, ours) = match keep {
            Some(folder) => (folder, false),
            None => (crate::workspace().join("target/demo"), true),
        };
        let shown = shown(&folder);
        if ours {
            match std::fs::remove_dir_all(&folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(error).doing(format_args!("clearing {shown}"));
                }
                _ => {}
            }
        } else if folder.exists() {
            return Err(Failure::new(format!(
                "{shown} exists: remove it, or name a folder that does not exist"
            )));
        }
        std::fs::create_dir_all(&folder).doing(format_args!("creating {shown}"))?;
        Ok(Self {
            folder,
            kept: false,
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps the folder unless it is empty.
    pub(super) fn keep(mut self) {
        let entries = std::fs::read_dir(&self.folder);
        self.kept = entries.is_ok_and(|mut entries| entries.next().is_some());
    }
}

impl Drop for Results {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = std::fs::remove_dir_all(&self.folder)
        {
            eprintln!("{} could not be removed: {error}", shown(&self.folder));
        }
    }
}

/// A path relative to the current folder, if it is below it.
pub(super) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let relative = here.and_then(|here| path.strip_prefix(here).ok());
    relative.unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_folder_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let error = Results::create(Some(folder.path().into())).unwrap_err();
        assert!(error.to_string().contains("exists"), "{error}");
        assert!(folder.path().exists());
    }

    #[test]
    fn results_stay_only_if_they_are_kept() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("demo");
        drop(Results::create(Some(folder.clone())).unwrap());
        assert!(!folder.exists());
        Results::create(Some(folder.clone())).unwrap().keep();
        assert!(!folder.exists(), "there was nothing to keep");
        let results = Results::create(Some(folder.clone())).unwrap();
        std::fs::write(folder.join("worker.log"), "").unwrap();
        results.keep();
        assert!(folder.exists());
    }
}
