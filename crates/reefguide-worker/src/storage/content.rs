//! What is stored, handed out a piece at a time.

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

use super::StorageError;
use super::walk::kind_name;

/// The bytes of an object to be stored: in memory, or in a file that is read a piece at a time, as often
/// as is asked for. A clone is cheap and is of the same open file.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    size: u64,
    origin: Origin,
}

#[derive(Clone, Debug)]
enum Origin {
    Memory(Bytes),
    File(Arc<Opened>),
}

#[derive(Debug)]
struct Opened {
    path: PathBuf,
    file: File,
    begun: Metadata,
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self {
            size: bytes.len() as u64,
            origin: Origin::Memory(bytes),
        }
    }
}

impl Content {
    /// The content of the file at `path`. Waits for the file system.
    pub(crate) fn open(path: PathBuf) -> Result<Self, StorageError> {
        let kind = std::fs::metadata(&path)
            .map_err(StorageError::local("read", &path))?
            .file_type();
        // Opening a pipe would wait for its writer.
        if !kind.is_file() {
            return Err(StorageError::NotAFile {
                path,
                kind: kind_name(kind),
            });
        }
        let file = File::open(&path).map_err(StorageError::local("read", &path))?;
        let begun = file
            .metadata()
            .map_err(StorageError::local("inspect", &path))?;
        Ok(Self {
            size: begun.len(),
            origin: Origin::File(Arc::new(Opened { path, file, begun })),
        })
    }

    /// The size of all of it, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// A range of it without waiting, if it is in memory.
    pub(crate) fn in_memory(&self, range: &Range<u64>) -> Option<Bytes> {
        let Origin::Memory(bytes) = &self.origin else {
            return None;
        };
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
        Some(bytes.slice(place(range.start)..place(range.end)))
    }

    /// Fills `piece` from a place on. Waits for the file system.
    pub(crate) fn read_at(&self, at: u64, piece: &mut [u8]) -> Result<(), StorageError> {
        let opened = match &self.origin {
            Origin::Memory(_) => {
                let range = at..at + piece.len() as u64;
                if let Some(bytes) = self.in_memory(&range) {
                    piece.copy_from_slice(&bytes);
                }
                return Ok(());
            }
            Origin::File(opened) => opened,
        };
        let path = &opened.path;
        match opened.file.read_exact_at(piece, at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(StorageError::FileChanged { path: path.clone() })
            }
            read => read.map_err(StorageError::local("read", path)),
        }
    }

    /// An error if the file is not the one any more that was opened. Waits for the file system.
    pub(crate) fn unchanged(&self) -> Result<(), StorageError> {
        let Origin::File(opened) = &self.origin else {
            return Ok(());
        };
        let Opened { path, file, begun } = &**opened;
        let now = file
            .metadata()
            .map_err(StorageError::local("inspect", path))?;
        let same_time = match (now.modified(), begun.modified()) {
            (Ok(now), Ok(begun)) => now == begun,
            // A file system without times.
            _ => true,
        };
        if now.len() != begun.len() || !same_time {
            return Err(StorageError::FileChanged { path: path.clone() });
        }
        Ok(())
    }

    /// Writes all of it into the existing file at `path` and returns its size. Waits for the file
    /// system.
    pub(crate) fn write(self, path: &Path) -> Result<u64, StorageError> {
        let refused = |error| StorageError::local("write", path)(error);
        let mut target = File::create(path).map_err(refused)?;
        let written = match self.origin {
            Origin::Memory(bytes) => target.write_all(&bytes).map(|()| self.size),
            Origin::File(opened) => io::copy(&mut &opened.file, &mut target),
        };
        written.map_err(refused)
    }
}

/// Runs what waits for the file system where waiting is allowed.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    super::transfer::finished(tokio::task::spawn_blocking(work)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_shrinks_or_is_written_to_is_not_what_was_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for (now, readable) in [("0123", false), ("0123456789+", true), ("abcdefghij", true)] {
            std::fs::write(&path, "0123456789").unwrap();
            let content = Content::open(path.clone()).unwrap();
            content.unchanged().unwrap();
            std::fs::write(&path, now).unwrap();
            let later = content_time(&content) + std::time::Duration::from_secs(1);
            File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_modified(later)
                .unwrap();
            let read = content.read_at(4, &mut [0; 6]);
            assert_eq!(read.is_ok(), readable, "{now}");
            let error = content.unchanged().unwrap_err();
            assert!(
                matches!(error, StorageError::FileChanged { .. }),
                "{error:?}"
            );
        }
    }

    fn content_time(content: &Content) -> std::time::SystemTime {
        match &content.origin {
            Origin::File(opened) => opened.begun.modified().unwrap(),
            Origin::Memory(_) => unreachable!(),
        }
    }
}
