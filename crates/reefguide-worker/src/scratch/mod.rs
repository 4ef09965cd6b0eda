//! Folders for temporary files. They are removed even if a job has changed their permissions.

mod run;

pub(crate) use run::RunFolder;

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A folder that is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// A new folder in `parent`, which must itself be a folder for temporary files. Its name begins with `prefix`.
    pub(crate) fn new_in(parent: &Path, prefix: &str) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix(prefix).tempdir_in(parent)?;
        Ok(Self(folder.keep()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A job may have changed the parent's permissions, too.
        if let Some(parent) = self.0.parent() {
            let _ = make_writable(parent);
        }
        remove(&self.0);
    }
}

/// Restores this user's permissions for its folder, which a job may have removed.
fn make_writable(folder: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(folder)?;
    match metadata.is_dir() && metadata.permissions().mode() & 0o700 != 0o700 {
        true => fs::set_permissions(folder, Permissions::from_mode(0o700)),
        false => Ok(()),
    }
}

/// Removes a folder with everything in it, and logs a warning about files that cannot be removed.
pub(crate) fn remove(folder: &Path) {
    let mut left = Left::default();
    remove_all(folder, &mut left);
    if let Some((path, error)) = left.first {
        tracing::warn!(path = %path.display(), %error, left = left.count, "scratch files not removed");
    }
}

/// The files that could not be removed.
#[derive(Default)]
struct Left {
    count: usize,
    first: Option<(PathBuf, io::Error)>,
}

impl Left {
    fn note(&mut self, path: &Path, error: io::Error) {
        self.count += 1;
        self.first.get_or_insert_with(|| (path.to_owned(), error));
    }
}

/// Removes as much as possible. The standard library stops at the first file that it cannot remove, so a folder in which
/// that happens is removed entry by entry.
fn remove_all(folder: &Path, left: &mut Left) {
    use io::ErrorKind::{NotADirectory, NotFound};

    match fs::remove_dir_all(folder) {
        Ok(()) => return,
        // There is no such folder.
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => return,
        Err(_) => {}
    }
    // If this fails, so does the removal below, which notes the error.
    let _ = make_writable(folder);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return left.note(folder, error),
    };
    let before = left.count;
    for entry in entries.flatten() {
        // This is false for a symbolic link, so its target is kept.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_all(&entry.path(), left);
        } else if let Err(error) = fs::remove_file(entry.path())
            && error.kind() != NotFound
        {
            left.note(&entry.path(), error);
        }
    }
    if left.count == before
        && let Err(error) = fs::remove_dir(folder)
        && error.kind() != NotFound
    {
        left.note(folder, error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_of_a_symbolic_link_is_not_removed() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("kept"), "kept").unwrap();
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::new_in(parent.path(), "job-").unwrap();
        let inside = folder.path().join("inside");
        fs::create_dir(&inside).unwrap();
        std::os::unix::fs::symlink(outside.path(), inside.join("link")).unwrap();
        // So that the standard library alone cannot remove the folder, unless this is root.
        fs::set_permissions(&inside, Permissions::from_mode(0o500)).unwrap();
        drop(folder);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
        assert!(outside.path().join("kept").exists());
    }
}
