//! What is to be stored.

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use crate::StorageError;
use crate::reader::Arriving;
use crate::walk::kind_name;
use reefguide_transport::blocking::blocking;

/// How much of a file is read at a time, in bytes.
pub(crate) const PIECE: usize = 256 << 10;

/// Where the content of an object to be stored comes from.
#[derive(Debug)]
pub(crate) enum Source {
    Memory(Bytes),
    /// The file of this path, which nobody has looked at.
    File(PathBuf),
}

impl Source {
    /// Opens it. Waits for the file system.
    pub(crate) fn open(self) -> Result<Content, StorageError> {
        match self {
            Self::Memory(bytes) => Ok(bytes.into()),
            Self::File(path) => Content::open(path),
        }
    }
}

/// The bytes of an object to be stored: in memory, or in a file that is read a piece at a time, as often
/// as is asked for. A clone is cheap and is of the same open file.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    size: u64,
    origin: Origin,
}

/// Where content is.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    Memory(Bytes),
    File(Arc<Opened>),
}

/// A file as it was when it was opened.
#[derive(Debug)]
pub(crate) struct Opened {
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
    fn open(path: PathBuf) -> Result<Self, StorageError> {
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

    /// Where it is.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// [`Opened::unchanged`], if it is in a file.
    pub(crate) fn unchanged(&self) -> Result<(), StorageError> {
        match &self.origin {
            Origin::Memory(_) => Ok(()),
            Origin::File(opened) => opened.unchanged(),
        }
    }

    /// All of it, a piece at a time as it is asked for; an error if it is not what it was when it was opened.
    pub(crate) fn arriving(self) -> Arriving {
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

    /// Writes all of it into an empty file and returns its size. Waits for the file system.
    pub(crate) fn write(&self, mut target: &File) -> io::Result<u64> {
        match &self.origin {
            Origin::Memory(bytes) => target.write_all(bytes).map(|()| self.size),
            Origin::File(opened) => io::copy(&mut &opened.file, &mut target),
        }
    }
}

impl Opened {
    /// Fills `piece` from a place on. Waits for the file system.
    pub(crate) fn read_at(&self, at: u64, piece: &mut [u8]) -> Result<(), StorageError> {
        let path = &self.path;
        match self.file.read_exact_at(piece, at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(StorageError::FileChanged { path: path.clone() })
            }
            read => read.map_err(StorageError::local("read", path)),
        }
    }

    /// An error if the file was written to since it was opened. Waits for the file system.
    pub(crate) fn unchanged(&self) -> Result<(), StorageError> {
        let Self { path, file, begun } = self;
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
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_file_that_shrinks_or_is_written_to_is_not_what_was_opened() {
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
            // The clock of the file system may be coarse.
            let later = opened.begun.modified().unwrap() + Duration::from_secs(1);
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
