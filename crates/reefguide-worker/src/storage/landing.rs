//! A file that appears whole or not at all.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use super::StorageError;

/// What the names of unfinished files begin with.
pub(crate) const UNFINISHED: &str = ".unfinished-";

/// Where an object is to be written to.
#[derive(Debug)]
pub(crate) enum Destination {
    /// A file that appears when it is complete.
    New(PathBuf),
    /// An empty file, which nobody reads before its owner knows it to be complete.
    Existing(PathBuf),
}

/// A file being written under another name. It takes its own name by [`land`](Self::land), replacing
/// what was there, and is removed when it is dropped before.
pub(crate) struct Landing {
    /// `None`: it has its own name already.
    unfinished: Option<TempPath>,
    target: PathBuf,
}

impl Landing {
    /// The empty file to write at first. Makes the folder of a new one.
    pub(crate) fn at(destination: Destination) -> Result<Self, StorageError> {
        match destination {
            Destination::New(target) => Self::new(target.parent().unwrap_or(&target), &target),
            Destination::Existing(target) => Ok(Self {
                unfinished: None,
                target,
            }),
        }
    }

    /// An empty file in `folder`, which must be on the same file system as `target`. Makes both
    /// folders.
    pub(crate) fn new(folder: &Path, target: &Path) -> Result<Self, StorageError> {
        for folder in [Some(folder), target.parent()].into_iter().flatten() {
            fs::create_dir_all(folder).map_err(StorageError::local("make folder", folder))?;
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(UNFINISHED);
        // Readable by whom the umask allows, like any file a program writes.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let unfinished = builder
            .tempfile_in(folder)
            .map_err(StorageError::local("write in", folder))?
            .into_temp_path();
        Ok(Self {
            unfinished: Some(unfinished),
            target: target.to_owned(),
        })
    }

    /// Where to write.
    pub(crate) fn path(&self) -> &Path {
        self.unfinished.as_deref().unwrap_or(&self.target)
    }

    /// Gives the file its name.
    pub(crate) fn land(self) -> Result<(), StorageError> {
        let Self { unfinished, target } = self;
        let Some(unfinished) = unfinished else {
            return Ok(());
        };
        unfinished
            .persist(&target)
            .map_err(|error| StorageError::local("write", target)(error.error))
    }
}
