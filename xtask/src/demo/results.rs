//! The folder that stays.

use std::io;
use std::path::{Path, PathBuf};

use crate::failure::{Doing, Failure};

/// The folder for what the demo leaves: removed with this value, unless it is kept.
#[derive(Debug)]
pub(super) struct Results {
    folder: PathBuf,
    kept: bool,
}

impl Results {
    /// Makes the folder `keep`, or makes `target/demo` anew.
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
                "{shown} exists: name a folder that does not, or remove it"
            )));
        }
        std::fs::create_dir_all(&folder).doing(format_args!("making {shown}"))?;
        Ok(Self {
            folder,
            kept: false,
        })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Leaves the folder, if anything is in it.
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

/// A path as the person at the terminal would type it.
pub(super) fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let relative = here.and_then(|here| path.strip_prefix(here).ok());
    relative.unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_exists_is_left_alone() {
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
