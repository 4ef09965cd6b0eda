//! A file for reading, and what keeps it there.

use std::fs::File;
use std::path::{Path, PathBuf};

use tempfile::TempPath;
use uuid::Uuid;

use super::entries::shown_name;
use crate::{Storage, StorageError, StorageUri};

/// An object as a local file. It is there for as long as this value is; keep it until the file has been
/// read, also by others.
///
/// Its name ends like the object's key, so that those who go by a file's extension know its kind. Other jobs
/// may read the same file: do not write to it.
#[derive(Debug)]
#[must_use = "the file may be removed as soon as this is dropped"]
pub struct InputFile {
    path: PathBuf,
    size: u64,
    _kept_by: KeptBy,
}

#[derive(Debug)]
#[expect(dead_code, reason = "they work by being dropped")]
enum KeptBy {
    /// A shared lock, which this open file holds.
    Lock(File),
    /// Nobody else knows of it.
    Owner(TempPath),
}

impl InputFile {
    /// Where it is, for reading only.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn locked(path: PathBuf, size: u64, lock: File) -> Self {
        Self {
            path,
            size,
            _kept_by: KeptBy::Lock(lock),
        }
    }

    /// Downloads an object into the folder `scratch`, from where it goes with this value.
    pub async fn download(
        storage: &Storage,
        uri: &StorageUri,
        scratch: &Path,
    ) -> Result<Self, StorageError> {
        let name = format!("{}-{}", Uuid::new_v4().simple(), shown_name(uri));
        let path = scratch.join(name);
        let size = storage.download_file(uri, &path).await?.size;
        let owner = TempPath::try_from_path(&path).map_err(StorageError::local("find", &path))?;
        Ok(Self {
            path: owner.to_path_buf(),
            size,
            _kept_by: KeptBy::Owner(owner),
        })
    }
}

impl AsRef<Path> for InputFile {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}
