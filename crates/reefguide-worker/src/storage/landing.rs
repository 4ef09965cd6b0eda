//! A file that appears whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use tempfile::{NamedTempFile, TempPath};

use super::{ObjectPath, StorageError};

/// What the names of unfinished files begin with.
pub(crate) const UNFINISHED: &str = ".unfinished-";

/// Where an object is to be written to.
#[derive(Debug)]
pub(crate) enum Destination {
    /// A file that appears when it is complete.
    New(PathBuf),
    /// The same, below a folder out of which no symbolic link may lead.
    Below(PathBuf, ObjectPath),
    /// An empty file, which nobody reads before its owner knows it to be complete.
    Existing(PathBuf),
}

/// A file being written under another name. It takes its own name by [`land`](Self::land), replacing
/// what was there, and is removed when it is dropped before.
pub(crate) struct Landing {
    file: Arc<File>,
    /// `None`: it has its own name already.
    unfinished: Option<TempPath>,
    target: PathBuf,
}

impl Landing {
    /// The empty file to write at first. Makes the folder of a new one.
    pub(crate) fn at(destination: Destination) -> Result<Self, StorageError> {
        match destination {
            Destination::New(target) => Self::new(target.parent().unwrap_or(&target), &target),
            Destination::Below(folder, path) => {
                let target = path.below(&folder);
                no_link_above(&target, &folder)?;
                Self::new(target.parent().unwrap_or(&target), &target)
            }
            Destination::Existing(target) => {
                let file = File::options().write(true).open(&target);
                let file = file.map_err(StorageError::local("write", &target))?;
                Ok(Self {
                    file: Arc::new(file),
                    unfinished: None,
                    target,
                })
            }
        }
    }

    /// An empty file in `folder`, which must be on the same file system as `target`. Makes both
    /// folders.
    pub(crate) fn new(folder: &Path, target: &Path) -> Result<Self, StorageError> {
        let mut begun = begin(folder);
        if matches!(&begun, Err(error) if error.kind() == io::ErrorKind::NotFound) {
            make(folder)?;
            begun = begin(folder);
        }
        match target.parent() {
            Some(parent) if parent != folder => make(parent)?,
            _ => {}
        }
        let (file, unfinished) = begun
            .map_err(StorageError::local("write in", folder))?
            .into_parts();
        Ok(Self {
            file: Arc::new(file),
            unfinished: Some(unfinished),
            target: target.to_owned(),
        })
    }

    /// What to write to.
    pub(crate) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Takes room for `size` bytes, if the file system knows how: what does not fit is told before it is
    /// fetched, and writing costs less. Waits for the file system.
    pub(crate) fn reserve(&self, size: u64) -> Result<(), StorageError> {
        let taken = fallocate(&self.file, FallocateFlags::empty(), 0, size);
        match taken {
            Err(full @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => {
                Err(StorageError::local("write", &self.target)(full.into()))
            }
            // Writing has to do without, or says what is wrong.
            _ => Ok(()),
        }
    }

    /// Where that is.
    pub(crate) fn path(&self) -> &Path {
        self.unfinished.as_deref().unwrap_or(&self.target)
    }

    /// What errors call it.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Gives the file its name.
    pub(crate) fn land(self) -> Result<(), StorageError> {
        let Some(unfinished) = self.unfinished else {
            return Ok(());
        };
        unfinished
            .persist(&self.target)
            .map_err(|error| StorageError::local("write", self.target)(error.error))
    }
}

fn begin(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(UNFINISHED);
    // Readable by whom the umask allows, like any file a program writes.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

fn make(folder: &Path) -> Result<(), StorageError> {
    fs::create_dir_all(folder).map_err(StorageError::local("make folder", folder))
}

/// Refuses a `file` whose way down from `folder` leads through a symbolic link, perhaps to elsewhere.
fn no_link_above(file: &Path, folder: &Path) -> Result<(), StorageError> {
    let above = file.ancestors().skip(1);
    for above in above.take_while(|above| *above != folder) {
        if fs::symlink_metadata(above).is_ok_and(|found| found.is_symlink()) {
            let link = io::Error::other(
                "it is a symbolic link and may lead out of the folder: remove it first",
            );
            return Err(StorageError::local("write below", above)(link));
        }
    }
    Ok(())
}
