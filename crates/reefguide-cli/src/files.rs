//! Files that a command writes: all of each or nothing of it.

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

/// What makes an error of the file system one that names the path.
pub(crate) fn unwritable(path: &Path) -> impl FnOnce(io::Error) -> FileError + use<> {
    let path = path.to_owned();
    move |source| FileError { path, source }
}

/// Writes files into a folder, which is made if it is missing. There is room for all of them before the first one
/// replaces what was there.
pub(crate) fn write_all(
    folder: &Path,
    files: impl IntoIterator<Item = (PathBuf, Vec<u8>)>,
) -> Result<(), FileError> {
    std::fs::create_dir_all(folder).map_err(unwritable(folder))?;
    let mut begun = Vec::new();
    for (path, bytes) in files {
        // A file that is a symbolic link stays one.
        let target = path.canonicalize().unwrap_or_else(|_| path.clone());
        let file = write(&target, &bytes).map_err(unwritable(&path))?;
        begun.push((file, target));
    }
    for (file, target) in begun {
        file.persist(&target)
            .map_err(|error| unwritable(&target)(error.error))?;
    }
    Ok(())
}

/// Writes a file beside the one that it is to replace.
fn write(target: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    if target.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let mut file = tempfile::Builder::new()
        // Less what the umask takes.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(target.parent().unwrap_or(target))?;
    // Not by way of the file's name, which would be in an error.
    file.as_file_mut().write_all(bytes)?;
    Ok(file)
}
