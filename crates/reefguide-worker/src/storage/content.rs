//! What is stored, handed out a piece at a time.

use std::fs::File;
use std::io::{self, Read};
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

    /// The content of the file at `path`.
    pub(crate) async fn open(path: &Path) -> Result<Self, StorageError> {
        let path = path.to_owned();
        blocking(move || {
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
        })
        .await
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
}

/// Runs what waits for the file system where waiting is allowed.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    super::transfer::finished(tokio::task::spawn_blocking(work)).await
}
