//! The folder for a lab's data on disk.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::error::LabError;

/// A folder that one lab uses, for as long as this value exists.
#[derive(Debug)]
pub(crate) enum DataFolder {
    /// It is removed with the lab.
    Temporary(TempDir),
    /// It stays. The system releases the lock even if the process is killed.
    Kept { path: PathBuf, _lock: File },
}

impl DataFolder {
    pub(crate) fn temporary() -> Result<Self, LabError> {
        let parent = std::env::temp_dir();
        let made = tempfile::Builder::new().prefix("reefguide-lab-").tempdir();
        let folder = made.map_err(|error| LabError::data(&parent, error))?;
        Ok(Self::Temporary(folder))
    }

    /// Locks `path`, and creates it if it does not exist. A second lab would remove files that the first one needs.
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
