//! Writing files whole or not at all.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// A file that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be written", .path.display())]
pub(crate) struct FileError {
    path: PathBuf,
    source: io::Error,
}

/// Adds the path to an I/O error.
pub(crate) fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> FileError + use<> {
    let path = path.to_owned();
    move |source| FileError { path, source }
}

/// Writes files into a folder, which is created if it is missing. All of them are on disk before the first one
/// replaces an existing file.
pub(crate) fn write_all(
    folder: &Path,
    files: impl IntoIterator<Item = (PathBuf, Vec<u8>)>,
) -> Result<(), FileError> {
    std::fs::create_dir_all(folder).map_err(unwritable(folder))?;
    let mut staged = Vec::new();
    for (path, bytes) in files {
        // Replaces the target of a symbolic link, not the link.
        let target = path.canonicalize().unwrap_or_else(|_| path.clone());
        let file = stage(&target, &bytes).map_err(unwritable(&path))?;
        staged.push((file, target));
    }
    for (file, target) in staged {
        file.persist(&target)
            .map_err(|error| unwritable(&target)(error.error))?;
    }
    Ok(())
}

/// Writes a temporary file next to the one that it will replace.
fn stage(target: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    if target.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut file = tempfile::Builder::new()
        // The umask still applies.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(target.parent().unwrap_or(target))?;
    // Errors of `NamedTempFile` itself would name the temporary file.
    file.as_file_mut().write_all(bytes)?;
    Ok(file)
}
