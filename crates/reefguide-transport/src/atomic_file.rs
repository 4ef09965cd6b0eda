//! Files that appear complete or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use tempfile::{NamedTempFile, TempPath};

use crate::ObjectPath;

/// The prefix of the names of unfinished files.
pub const UNFINISHED: &str = ".unfinished-";

/// An error of the file system.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub struct FileSystemError {
    /// What was being done, such as `write`.
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// The system's error.
    pub source: io::Error,
}

impl FileSystemError {
    /// Adds `action` and `path` to the system's error.
    pub fn during(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self {
            action,
            path,
            source,
        }
    }

    /// Whether the same operation may succeed later, with nothing changed: the process or the system has too many files
    /// open, and will close some.
    pub fn is_retryable(&self) -> bool {
        matches!(
            Errno::from_io_error(&self.source),
            Some(Errno::MFILE | Errno::NFILE)
        )
    }
}

/// Where to write an object.
#[derive(Debug)]
pub enum Destination {
    /// A file that appears when it is complete.
    New(PathBuf),
    /// A file that appears when it is complete, below a folder that no symbolic link may lead out of.
    Below(PathBuf, ObjectPath),
    /// An existing empty file. Its owner makes sure that it is not read before it is complete.
    Existing(PathBuf),
}

/// A file that is written under a temporary name. [`commit`](Self::commit) gives it its own name, replacing
/// an earlier file. It is removed if it is dropped before.
#[derive(Debug)]
pub struct AtomicFile {
    file: Arc<File>,
    /// `None`: it has its own name already.
    unfinished: Option<TempPath>,
    target: PathBuf,
}

impl AtomicFile {
    /// The empty file to write to. Creates the folder of a new one.
    pub fn at(destination: Destination) -> Result<Self, FileSystemError> {
        match destination {
            Destination::New(target) => Self::new(target.parent().unwrap_or(&target), &target),
            Destination::Below(folder, path) => {
                let target = path.below(&folder);
                no_link_above(&target, &folder)?;
                Self::new(target.parent().unwrap_or(&target), &target)
            }
            Destination::Existing(target) => {
                let file = File::options().write(true).open(&target);
                let file = file.map_err(FileSystemError::during("write", &target))?;
                Ok(Self {
                    file: Arc::new(file),
                    unfinished: None,
                    target,
                })
            }
        }
    }

    /// An empty file in `folder`, which must be on the same file system as `target`. Creates both
    /// folders.
    pub fn new(folder: &Path, target: &Path) -> Result<Self, FileSystemError> {
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
            .map_err(FileSystemError::during("write in", folder))?
            .into_parts();
        Ok(Self {
            file: Arc::new(file),
            unfinished: Some(unfinished),
            target: target.to_owned(),
        })
    }

    /// The file to write to.
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Reserves room for `size` bytes, if the file system supports it. A file that does not fit then fails before
    /// anything is downloaded, and writing is faster. Blocks.
    pub fn reserve(&self, size: u64) -> Result<(), FileSystemError> {
        let taken = fallocate(&self.file, FallocateFlags::empty(), 0, size);
        match taken {
            Err(full @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => {
                Err(FileSystemError::during("write", &self.target)(full.into()))
            }
            // Writing works without it, or reports the problem.
            _ => Ok(()),
        }
    }

    /// The file's current path.
    pub fn path(&self) -> &Path {
        self.unfinished.as_deref().unwrap_or(&self.target)
    }

    /// The file's final path, which errors show.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Gives the file its name.
    pub fn commit(self) -> Result<(), FileSystemError> {
        let Some(unfinished) = self.unfinished else {
            return Ok(());
        };
        unfinished
            .persist(&self.target)
            .map_err(|error| FileSystemError::during("write", self.target)(error.error))
    }
}

fn begin(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(UNFINISHED);
    // The umask decides who may read it, as for other files.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

fn make(folder: &Path) -> Result<(), FileSystemError> {
    fs::create_dir_all(folder).map_err(FileSystemError::during("make folder", folder))
}

/// Refuses a `file` if a folder between it and `folder` is a symbolic link, which may lead elsewhere.
fn no_link_above(file: &Path, folder: &Path) -> Result<(), FileSystemError> {
    let above = file.ancestors().skip(1);
    for above in above.take_while(|above| *above != folder) {
        if fs::symlink_metadata(above).is_ok_and(|found| found.is_symlink()) {
            let link = io::Error::other(
                "it is a symbolic link and may lead out of the folder: remove it first",
            );
            return Err(FileSystemError::during("write below", above)(link));
        }
    }
    Ok(())
}
