//! A local file of an input, protected from removal.

use std::fs::File;
use std::path::{Path, PathBuf};

use tempfile::TempPath;
use uuid::Uuid;

use crate::{Storage, StorageError, StorageUri};

/// How many characters of a key a file's name has.
const SHOWN: usize = 100;

/// An object as a local file. The file exists as long as this value: keep it until you, or a program that you
/// run, have read the file.
///
/// Its name ends like the object's key, so that it has the right extension. Other jobs
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
    /// A shared lock on this open file.
    Lock(File),
    /// The only owner of the file.
    Owner(TempPath),
}

impl InputFile {
    /// Its path, for reading only.
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

    /// Downloads an object to the folder `scratch`. The file is removed when this value is dropped.
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

/// The end of a key, with characters that are safe in file names on every system.
pub(super) fn shown_name(uri: &StorageUri) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let last = uri.key().rsplit('/').next().unwrap_or_default();
    let name: String = last
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .collect();
    name[name.len().saturating_sub(SHOWN)..].to_owned()
}
