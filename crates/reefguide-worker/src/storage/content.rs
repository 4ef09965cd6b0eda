//! What is stored, handed out a piece at a time.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::StorageError;
use super::walk::kind_name;

/// The bytes of an object to be stored: in memory, or read from a file as they are asked for.
pub(crate) struct Content {
    size: u64,
    left: u64,
    origin: Origin,
}

enum Origin {
    Memory(Bytes),
    File { path: PathBuf, file: File },
}

impl Content {
    pub(crate) fn bytes(bytes: Bytes) -> Self {
        let size = bytes.len() as u64;
        Self {
            size,
            left: size,
            origin: Origin::Memory(bytes),
        }
    }

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
        let size = file
            .metadata()
            .map_err(StorageError::local("inspect", &path))?
            .len();
        Ok(Self {
            size,
            left: size,
            origin: Origin::File { path, file },
        })
    }

    /// The size of all of it, in bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// What was not handed out yet, in bytes.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// The next `length` bytes, or what is left if that is less. The last piece is given only if the
    /// file still has the size it had when it was opened. Not cancel safe.
    pub(crate) async fn next(&mut self, length: u64) -> Result<Bytes, StorageError> {
        let length = length.min(self.left);
        self.left -= length;
        let last = self.left == 0;
        let size = self.size;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (path, file) = match &mut self.origin {
            Origin::Memory(bytes) => return Ok(bytes.split_to(length)),
            Origin::File { path, file } => (path.clone(), file.try_clone()),
        };
        blocking(move || {
            let mut file = file.map_err(StorageError::local("read", &path))?;
            let mut piece = vec![0; length];
            match file.read_exact(&mut piece) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(StorageError::FileChanged { path });
                }
                Err(error) => return Err(StorageError::local("read", path)(error)),
            }
            let now = file
                .metadata()
                .map_err(StorageError::local("inspect", &path))?;
            if last && now.len() != size {
                return Err(StorageError::FileChanged { path });
            }
            Ok(Bytes::from(piece))
        })
        .await
    }

    /// Writes all of it into the existing file at `path` and returns its size. Waits for the file
    /// system.
    pub(crate) fn write(self, path: &Path) -> Result<u64, StorageError> {
        let refused = |error| StorageError::local("write", path)(error);
        let mut target = File::create(path).map_err(refused)?;
        let written = match self.origin {
            Origin::Memory(bytes) => target.write_all(&bytes).map(|()| self.size),
            Origin::File { mut file, .. } => io::copy(&mut file, &mut target),
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

    #[tokio::test]
    async fn a_file_that_shrinks_or_grows_is_not_handed_out_whole() {
        let folder = tempfile::tempdir().unwrap();
        for (now, taken) in [("0123", 0), ("0123456789+", 1)] {
            let path = folder.path().join("file");
            std::fs::write(&path, "0123456789").unwrap();
            let mut content = Content::open(path.clone()).unwrap();
            for _ in 0..taken {
                content.next(6).await.unwrap();
            }
            std::fs::write(&path, now).unwrap();
            let error = content.next(6).await.unwrap_err();
            assert!(
                matches!(error, StorageError::FileChanged { .. }),
                "{error:?}"
            );
        }
    }
}
