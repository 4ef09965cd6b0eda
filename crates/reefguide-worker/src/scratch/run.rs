//! The folder of one run, and the removal of folders that killed runs left behind.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::OFlags;
use rustix::process::geteuid;

use super::{make_writable, remove};

/// The beginning of the name; 16 hexadecimal digits follow.
const PREFIX: &str = "reefguide-worker-";
/// How often making the folder is tried in a row, in case another process removes it meanwhile.
const TRIES: usize = 3;

/// The folder for a run's temporary files. It is locked while the run lasts, so that no other run removes it, and
/// removed when this is dropped.
#[derive(Debug)]
pub(crate) struct RunFolder {
    parent: PathBuf,
    path: PathBuf,
    /// The open folder, which holds the lock. `None`: there is no folder yet.
    held: Mutex<Option<File>>,
}

impl RunFolder {
    /// A folder in `parent`; [`ensure`](Self::ensure) makes it. Folders that killed runs left in `parent` are removed.
    pub(crate) fn new(parent: &Path) -> Self {
        remove_abandoned(parent);
        let name = format!("{PREFIX}{:016x}", fastrand::u64(..));
        Self {
            parent: parent.to_owned(),
            path: parent.join(name),
            held: Mutex::default(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder, unless it exists and can be written to.
    pub(crate) fn ensure(&self) -> io::Result<()> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.as_ref().is_some_and(|held| is_at(held, &self.path)) {
            return make_writable(&self.path);
        }
        *held = None;
        let mut made = self.make();
        for _ in 1..TRIES {
            if made.is_ok() {
                break;
            }
            made = self.make();
        }
        *held = Some(made?);
        Ok(())
    }

    fn make(&self) -> io::Result<File> {
        fs::create_dir_all(&self.parent)?;
        match DirBuilder::new().mode(0o700).create(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // The name belongs to this run, so a file or a link of that name can be removed.
                if !fs::symlink_metadata(&self.path)?.is_dir() {
                    fs::remove_file(&self.path)?;
                    DirBuilder::new().mode(0o700).create(&self.path)?;
                }
            }
            made => made?,
        }
        make_writable(&self.path)?;
        let folder = open(&self.path)?;
        match folder.try_lock() {
            // Another run is removing it, because it was not locked yet.
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::ResourceBusy.into()),
            // On a file system without locks no run can lock it, so none removes it.
            Err(TryLockError::Error(_)) | Ok(()) => {}
        }
        match is_at(&folder, &self.path) {
            true => Ok(folder),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Removes the folders of killed runs: those with this library's form of name that belong to this user and that no
/// process has locked.
fn remove_abandoned(parent: &Path) {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| is_run_folder(&entry.file_name())) {
        let path = entry.path();
        // Kept open so that it stays locked.
        let Some(_locked) = lock_abandoned(&path) else {
            continue;
        };
        tracing::info!(path = %path.display(), "removing the scratch folder of a worker that was killed");
        remove(&path);
    }
}

fn is_run_folder(name: &OsStr) -> bool {
    let digits = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
    let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    digits.is_some_and(|digits| digits.len() == 16 && digits.bytes().all(hex))
}

fn lock_abandoned(path: &Path) -> Option<File> {
    let folder = open(path).ok()?;
    let own = folder.metadata().ok()?.uid() == geteuid().as_raw();
    // A run whose folder is removed before it has locked it makes the folder again.
    (own && folder.try_lock().is_ok() && is_at(&folder, path)).then_some(folder)
}

/// Opens a folder without following a symbolic link.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

/// Whether the path still leads to the open folder.
fn is_at(folder: &File, path: &Path) -> bool {
    let same = || {
        let (held, there) = (folder.metadata()?, fs::symlink_metadata(path)?);
        io::Result::Ok((held.dev(), held.ino()) == (there.dev(), there.ino()))
    };
    same().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_that_was_removed_or_replaced_is_made_again() {
        let parent = tempfile::tempdir().unwrap();
        let parent = parent.path().join("scratch");
        let run = RunFolder::new(&parent);
        let elsewhere = tempfile::tempdir().unwrap();
        let path = run.path();
        let changes: [&dyn Fn(); 5] = [
            &|| {},
            &|| fs::remove_dir_all(path).unwrap(),
            &|| fs::remove_dir_all(&parent).unwrap(),
            &|| {
                fs::remove_dir_all(path).unwrap();
                fs::write(path, "a file").unwrap();
            },
            &|| {
                fs::remove_dir_all(path).unwrap();
                std::os::unix::fs::symlink(elsewhere.path(), path).unwrap();
            },
        ];
        for change in changes {
            change();
            run.ensure().unwrap();
            run.ensure().unwrap();
            fs::write(path.join("file"), "written").unwrap();
            assert!(fs::symlink_metadata(path).unwrap().is_dir());
        }
        drop(run);
        assert_eq!(names(&parent), [""; 0]);
        assert_eq!(names(elsewhere.path()), [""; 0]);
    }

    #[test]
    fn only_folders_of_killed_runs_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let parent = parent.path();
        let alive = RunFolder::new(parent);
        alive.ensure().unwrap();
        let abandoned = parent.join(format!("{PREFIX}0123456789abcdef"));
        fs::create_dir_all(abandoned.join("job-1/work")).unwrap();
        let foreign = [
            format!("{PREFIX}backup"),
            format!("{PREFIX}0123456789abcdeg"),
            format!("{PREFIX}0123456789abcdef0"),
            "worker-0123456789abcdef".to_owned(),
        ];
        for name in &foreign {
            fs::create_dir(parent.join(name)).unwrap();
        }
        let file = format!("{PREFIX}1111111111111111");
        fs::write(parent.join(&file), "a file").unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("kept"), "kept").unwrap();
        let link = format!("{PREFIX}2222222222222222");
        std::os::unix::fs::symlink(outside.path(), parent.join(&link)).unwrap();

        let next = RunFolder::new(parent);
        next.ensure().unwrap();
        let own = [&alive, &next].map(|run| run.path().file_name().unwrap().to_str().unwrap());
        let mut kept: Vec<_> = foreign.iter().map(String::as_str).chain(own).collect();
        kept.extend([&*file, &*link]);
        kept.sort_unstable();
        assert_eq!(names(parent), kept);
        assert_eq!(names(outside.path()), ["kept"]);
    }
}
