//! Finding the files below a local folder.

use std::fs::{self, FileType};
use std::io;
use std::mem;
use std::path::{Path, PathBuf};

use futures_util::stream;
use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;

use crate::{ObjectPath, StorageError};

/// A file below a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutputFile {
    /// Its path relative to the folder.
    pub path: ObjectPath,
    /// Its size in bytes.
    pub size: u64,
}

/// How many files are sent to the consumer at once, since each send wakes it.
const BATCH: usize = 64;
/// How many nested folders are open at once.
const OPEN_LEVELS: usize = 4;

type FolderEntries = Box<dyn Iterator<Item = io::Result<(PathBuf, FileType)>>>;

/// How many batches may wait for their consumer.
const AHEAD: usize = 4;

/// Finds every file below `folder`, in no particular order and without following symbolic links. Ends with an error at
/// the first entry that is neither a file nor a folder, or whose name is not an [`ObjectPath`].
///
/// The number of open folders and of files in memory is bounded.
pub(crate) fn walk(
    folder: &Path,
) -> impl Stream<Item = Result<OutputFile, StorageError>> + Send + use<> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let folder = folder.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut batch = Vec::new();
        let ended = descend(&folder, |path, file| {
            let size = fs::symlink_metadata(file)
                .map_err(StorageError::local("inspect", file))?
                .len();
            batch.push(Ok(OutputFile { path, size }));
            let full = batch.len() == BATCH;
            Ok(!full || sender.blocking_send(mem::take(&mut batch)).is_ok())
        });
        batch.extend(ended.err().map(Err));
        // It fails if the stream was dropped.
        let _ = sender.blocking_send(batch);
    });
    let batches = stream::unfold(receiver, |mut receiver| async {
        let batch = receiver.recv().await?;
        Some((stream::iter(batch), receiver))
    });
    batches.flatten()
}

/// Calls `found` for each file until it returns `false`. Blocks.
pub(crate) fn descend(
    root: &Path,
    mut found: impl FnMut(ObjectPath, &Path) -> Result<bool, StorageError>,
) -> Result<(), StorageError> {
    let mut open = vec![(root.to_owned(), entries(root, 0)?)];
    while let Some((folder, entries_left)) = open.last_mut() {
        let Some(entry) = entries_left.next() else {
            open.pop();
            continue;
        };
        let (path, kind) = entry.map_err(StorageError::local("list", &*folder))?;
        let relative = ObjectPath::from_relative(path.strip_prefix(root).unwrap_or(&path))?;
        if kind.is_dir() {
            let entries = entries(&path, open.len())?;
            open.push((path, entries));
            continue;
        }
        if !kind.is_file() {
            return Err(StorageError::NotAFile {
                path,
                kind: kind_name(kind),
            });
        }
        if !found(relative, &path)? {
            return Ok(());
        }
    }
    Ok(())
}

/// The entries of a folder at this level. Folders at upper levels stay open while they are read; a deep folder is read
/// completely and closed.
fn entries(folder: &Path, level: usize) -> Result<FolderEntries, StorageError> {
    let entries = fs::read_dir(folder).map_err(StorageError::local("list", folder))?;
    let entries = entries.map(|entry| {
        let entry = entry?;
        Ok((entry.path(), entry.file_type()?))
    });
    Ok(match level < OPEN_LEVELS {
        true => Box::new(entries),
        false => Box::new(entries.collect::<Vec<_>>().into_iter()),
    })
}

/// How an error names something that is not a plain file.
pub(crate) fn kind_name(kind: FileType) -> &'static str {
    if kind.is_symlink() {
        "symbolic link"
    } else if kind.is_dir() {
        "folder"
    } else {
        "special file"
    }
}
