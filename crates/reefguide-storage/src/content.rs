//! Content that is to be stored.

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use crate::StorageError;
use crate::reader::ContentStream;
use crate::walk::kind_name;
use reefguide_transport::blocking::blocking;

/// The number of bytes that are read from a file at a time.
pub(crate) const PIECE: usize = 256 << 10;

/// Where the content of an object to be stored comes from.
#[derive(Debug)]
pub(crate) enum ContentSource {
    Memory(Bytes),
    /// The file at this path, not checked yet.
    File(PathBuf),
}

impl ContentSource {
    /// Opens it. Blocks.
    pub(crate) fn open(self) -> Result<Content, StorageError> {
        match self {
            Self::Memory(bytes) => Ok(bytes.into()),
            Self::File(path) => Content::open(path),
        }
    }
}

/// The bytes of an object to be stored: in memory, or in a file that can be read repeatedly, a piece at a
/// time. A clone is cheap and shares the open file.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    size: u64,
    origin: Origin,
}

/// Where the content is.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    Memory(Bytes),
    File(Arc<OpenFile>),
}

/// An open file that can tell whether it was changed since it was opened.
#[derive(Debug)]
pub(crate) struct OpenFile {
    path: PathBuf,
    file: File,
    metadata: Metadata,
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
    /// The content of the file at `path`. Blocks.
    fn open(path: PathBuf) -> Result<Self, StorageError> {
        let kind = std::fs::metadata(&path)
            .map_err(StorageError::local("read", &path))?
            .file_type();
        // Opening a pipe would block until it has a writer.
        if !kind.is_file() {
            return Err(StorageError::NotAFile {
                path,
                kind: kind_name(kind),
            });
        }
        let file = File::open(&path).map_err(StorageError::local("read", &path))?;
        let metadata = file
            .metadata()
            .map_err(StorageError::local("inspect", &path))?;
        Ok(Self {
            size: metadata.len(),
            origin: Origin::File(Arc::new(OpenFile {
                path,
                file,
                metadata,
            })),
        })
    }

    /// Its size in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Where it is.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// See [`OpenFile::unchanged`]; memory does not change.
    pub(crate) fn unchanged(&self) -> Result<(), StorageError> {
        match &self.origin {
            Origin::Memory(_) => Ok(()),
            Origin::File(opened) => opened.unchanged(),
        }
    }

    /// All of it, read a piece at a time. Ends with an error if the file was changed since it was opened.
    pub(crate) fn stream(self) -> ContentStream {
        let pieces = stream::try_unfold((self, 0), |(content, at)| {
            blocking(move || {
                let left = content.size - at;
                if left == 0 {
                    content.unchanged()?;
                    return Ok(None);
                }
                let piece = match &content.origin {
                    Origin::Memory(bytes) => bytes.clone(),
                    Origin::File(file) => {
                        let length = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
                        let mut piece = vec![0; length];
                        file.read_at(at, &mut piece)?;
                        piece.into()
                    }
                };
                let at = at + piece.len() as u64;
                Ok(Some((piece, (content, at))))
            })
        });
        pieces.boxed()
    }

    /// Writes all of it to an empty file and returns its size. Blocks.
    pub(crate) fn write(&self, mut target: &File) -> io::Result<u64> {
        match &self.origin {
            Origin::Memory(bytes) => target.write_all(bytes).map(|()| self.size),
            Origin::File(opened) => io::copy(&mut &opened.file, &mut target),
        }
    }
}

impl OpenFile {
    /// Fills `piece` from the position `at`. Blocks.
    pub(crate) fn read_at(&self, at: u64, piece: &mut [u8]) -> Result<(), StorageError> {
        let path = &self.path;
        match self.file.read_exact_at(piece, at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(StorageError::FileChanged { path: path.clone() })
            }
            read => read.map_err(StorageError::local("read", path)),
        }
    }

    /// An error if the file was changed since it was opened. Blocks.
    pub(crate) fn unchanged(&self) -> Result<(), StorageError> {
        let Self {
            path,
            file,
            metadata,
        } = self;
        let now = file
            .metadata()
            .map_err(StorageError::local("inspect", path))?;
        let same_time = match (now.modified(), metadata.modified()) {
            (Ok(now), Ok(then)) => now == then,
            // The file system has no modification times.
            _ => true,
        };
        if now.len() != metadata.len() || !same_time {
            return Err(StorageError::FileChanged { path: path.clone() });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_file_that_shrinks_or_is_written_to_counts_as_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for (now, readable) in [("0123", false), ("0123456789+", true), ("abcdefghij", true)] {
            std::fs::write(&path, "0123456789").unwrap();
            let content = Content::open(path.clone()).unwrap();
            let Origin::File(opened) = content.origin() else {
                panic!("in memory");
            };
            content.unchanged().unwrap();
            std::fs::write(&path, now).unwrap();
            // The file system's clock may be coarse.
            let later = opened.metadata.modified().unwrap() + Duration::from_secs(1);
            let file = File::options().write(true).open(&path).unwrap();
            file.set_modified(later).unwrap();
            let read = opened.read_at(4, &mut [0; 6]);
            assert_eq!(read.is_ok(), readable, "{now}");
            let error = content.unchanged().unwrap_err();
            assert!(
                matches!(error, StorageError::FileChanged { .. }),
                "{error:?}"
            );
        }
    }
}
