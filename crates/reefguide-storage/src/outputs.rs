//! What one attempt at a job makes.

use std::io;
use std::path::{Path, PathBuf};

use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use serde::Serialize;
use serde::ser::Error as _;
use tokio::fs;

use crate::transfer::fit;
use crate::walk::walk;
use crate::{ObjectPath, OutputFile, StorageError, StorageUri};
use reefguide_transport::finite;

/// The outputs of an attempt: a local folder that the handler fills. After the handler returned, the
/// runtime publishes every file in it ([`publish`](super::publish)) and then reports the job.
///
/// Nothing is uploaded before, so a handler that fails leaves nothing in the store. What counts as a file
/// is as for [`upload_folder`](super::Storage::upload_folder).
#[derive(Clone, Debug)]
pub struct Outputs {
    folder: PathBuf,
}

impl Outputs {
    /// Outputs kept in `folder`, which is made when the first is written.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// Writes the output `path`, such as `charts/a.svg`, replacing an earlier one. A write that is
    /// cancelled may leave a part of it.
    ///
    /// # Errors
    /// [`StorageError::Path`] when `path` is no [`ObjectPath`], [`StorageError::Local`] when the file
    /// system refuses.
    pub async fn write(
        &self,
        path: &str,
        contents: impl AsRef<[u8]> + Send,
    ) -> Result<(), StorageError> {
        let file = self.path(path)?;
        fs::write(&file, contents.as_ref())
            .await
            .map_err(StorageError::local("write", file))
    }

    /// [`write`](Self::write)s `value` as JSON, indented for people.
    ///
    /// # Errors
    /// As `write`, and [`StorageError::Json`] when `value` has no form in JSON, as a float that is NaN or infinite.
    pub async fn write_json(
        &self,
        path: &str,
        value: &(impl Serialize + Sync),
    ) -> Result<(), StorageError> {
        let json = finite::check(value)
            .map_err(|error| serde_json::Error::custom(format_args!("value {error}")))
            .and_then(|()| serde_json::to_vec_pretty(value));
        let mut json = json.map_err(|source| StorageError::Json {
            path: path.to_owned(),
            source,
        })?;
        json.push(b'\n');
        self.write(path, json).await
    }

    /// Where to write the output `path` as a file: for large ones, and for other programs. The
    /// folders above it are made.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn path(&self, path: &str) -> Result<PathBuf, StorageError> {
        let file = path.parse::<ObjectPath>()?.below(&self.folder);
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder).map_err(StorageError::local("make folder", folder))?;
        }
        Ok(file)
    }

    /// The folder the outputs are in; it may not exist yet.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Every output there is now, ordered by path.
    ///
    /// # Errors
    /// [`StorageError::NotAFile`] for a symbolic link or special file, [`StorageError::Path`] for a
    /// name that is no [`ObjectPath`]: nothing is left out in silence.
    pub async fn files(&self) -> Result<Vec<OutputFile>, StorageError> {
        let mut files: Vec<_> = self.found().await.try_collect().await?;
        files.sort_unstable();
        Ok(files)
    }

    /// [`files`](Self::files) one at a time, in no order, so that their number does not matter.
    pub(super) async fn found(&self) -> BoxStream<'static, Result<OutputFile, StorageError>> {
        match self.exist().await {
            false => stream::empty().boxed(),
            true => walk(&self.folder).boxed(),
        }
    }

    /// An error unless each of them has a key below `to`.
    pub(super) async fn fit(&self, to: &StorageUri) -> Result<(), StorageError> {
        match self.exist().await {
            false => Ok(()),
            true => fit(&self.folder, to).await,
        }
    }

    /// Whether there is a folder to look into.
    async fn exist(&self) -> bool {
        let found = fs::metadata(&self.folder).await;
        !found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    }

    /// Removes every output, before another attempt.
    ///
    /// # Errors
    /// [`StorageError::Local`] when the file system refuses.
    pub async fn clear(&self) -> Result<(), StorageError> {
        match fs::remove_dir_all(&self.folder).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(StorageError::local("clear", &self.folder)(error))
            }
            _ => Ok(()),
        }
    }
}
