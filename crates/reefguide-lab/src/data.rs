//! The folder for what a lab has on disk.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::LabError;

/// A folder that belongs to one lab while this value lives.
#[derive(Debug)]
pub(crate) enum DataFolder {
    /// It goes with the lab.
    Temporary(TempDir),
    /// It stays, and the system gives the lock back even if the process is killed.
    Kept { path: PathBuf, _lock: File },
}

impl DataFolder {
    pub(crate) fn temporary() -> Result<Self, LabError> {
        let parent = std::env::temp_dir();
        let made = tempfile::Builder::new().prefix("reefguide-lab-").tempdir();
        let folder = made.map_err(|error| LabError::data(&parent, error))?;
        Ok(Self::Temporary(folder))
    }

    /// Takes `path`, and makes it where it is missing. A second lab on it would remove files that the first one needs.
    pub(crate) fn kept(path: &Path) -> Result<Self, LabError> {
        let unusable = |error| LabError::data(path, error);
        std::fs::create_dir_all(path).map_err(unusable)?;
        let mut options = File::options();
        options.write(true).create(true).truncate(false);
        let lock = options.open(path.join("lab.lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self::Kept {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(LabError::InUse {
                folder: path.to_owned(),
            }),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept { path, .. } => path,
        }
    }
}
