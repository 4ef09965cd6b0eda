//! The files below a local folder.

use std::fs::{self, DirEntry, FileType, ReadDir};
use std::mem;
use std::path::{Path, PathBuf};

use futures_util::stream;
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;

use super::{ObjectPath, StorageError};

/// A file below a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutputFile {
    /// Where, relative to the folder.
    pub path: ObjectPath,
    /// Its size in bytes.
    pub size: u64,
}

/// How many found files are handed over at once: for each of them the consumer would be woken.
const BATCH: usize = 64;
/// How many batches may wait for their consumer.
const AHEAD: usize = 4;

/// Finds every file below `folder`, in no order and without following symlinks. Ends with the first
/// entry that is neither a file nor a folder, or whose name is no [`ObjectPath`].
///
/// Holds one open folder per level and a bounded number of files, however many there are.
pub(crate) fn walk(
    folder: &Path,
) -> impl Stream<Item = Result<OutputFile, StorageError>> + Send + use<> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut batch = Vec::new();
        let ended = descend(&folder, |path, entry| {
            let size = entry
                .metadata()
                .map_err(StorageError::local("inspect", entry.path()))?
                .len();
            batch.push(Ok(OutputFile { path, size }));
            let full = batch.len() == BATCH;
            Ok(!full || sender.blocking_send(mem::take(&mut batch)).is_ok())
        });
        batch.extend(ended.err().map(Err));
        // The receiver may be gone, and then nobody wants to know.
        let _ = sender.blocking_send(batch);
    });
    let batches = stream::unfold(receiver, |mut receiver| async {
        let batch = receiver.recv().await?;
        Some((stream::iter(batch), receiver))
    });
    batches.flatten()
}

/// Tells `found` of each file, for as long as it wants more. Waits for the file system.
pub(crate) fn descend(
    root: &Path,
    mut found: impl FnMut(ObjectPath, &DirEntry) -> Result<bool, StorageError>,
) -> Result<(), StorageError> {
    let mut open = vec![(root.to_owned(), read_dir(root)?)];
    while let Some((folder, entries)) = open.last_mut() {
        let Some(entry) = entries.next() else {
            open.pop();
            continue;
        };
        let entry = entry.map_err(StorageError::local("list", &*folder))?;
        let path = entry.path();
        let kind = entry
            .file_type()
            .map_err(StorageError::local("inspect", &path))?;
        let relative = ObjectPath::from_relative(path.strip_prefix(root).unwrap_or(&path))?;
        if kind.is_dir() {
            let entries = read_dir(&path)?;
            open.push((path, entries));
            continue;
        }
        if !kind.is_file() {
            return Err(StorageError::NotAFile {
                path,
                kind: kind_name(kind),
            });
        }
        if !found(relative, &entry)? {
            return Ok(());
        }
    }
    Ok(())
}

fn read_dir(folder: &Path) -> Result<ReadDir, StorageError> {
    fs::read_dir(folder).map_err(StorageError::local("list", PathBuf::from(folder)))
}

/// What something is that is not a plain file, for a person.
pub(crate) fn kind_name(kind: FileType) -> &'static str {
    if kind.is_symlink() {
        "symbolic link"
    } else if kind.is_dir() {
        "folder"
    } else {
        "special file"
    }
}
