//! The files that one attempt at a job produces.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::TryStreamExt;
use serde::Serialize;
use serde::ser::Error as _;
use tokio::fs;

use crate::walk::walk;
use crate::{ObjectPath, OutputFile, StorageError, StorageUri};
use reefguide_transport::finite;

/// The outputs of an attempt: a local folder that the handler fills. After the handler returns, the
/// runtime lists the files in it, [publishes](super::publish) them all and then reports the job.
///
/// Nothing is uploaded earlier, so a handler that fails leaves nothing in the store. The same files count as
/// for [`upload_folder`](super::Storage::upload_folder).
#[derive(Clone, Debug)]
pub struct Outputs {
    folder: PathBuf,
}

/// The files that an attempt has produced, listed once, so that publication and limits on outputs agree. From
/// [`Outputs::manifest`]; a clone is cheap.
#[derive(Clone, Debug, Default)]
pub struct OutputManifest {
    folder: PathBuf,
    files: Arc<[OutputFile]>,
    bytes: u64,
}

impl OutputManifest {
    /// The folder that the files are in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The files, ordered by path.
    pub fn files(&self) -> &[OutputFile] {
        &self.files
    }

    /// The size of all files together, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether an output is called `name`, or is in a folder called `name`.
    pub fn uses(&self, name: &str) -> bool {
        let first = |file: &OutputFile| file.path.as_str().split('/').next() == Some(name);
        self.files.iter().any(first)
    }

    /// An error unless each file has a valid key below `to`.
    pub(super) fn check_keys(&self, to: &StorageUri) -> Result<(), StorageError> {
        self.files
            .iter()
            .try_for_each(|file| to.object(&file.path).map(drop))
    }
}

impl Outputs {
    /// Outputs in `folder`, which is created when the first one is written.
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

    /// Writes `value` as indented JSON; see [`write`](Self::write).
    ///
    /// # Errors
    /// As `write`, and [`StorageError::Json`] when JSON cannot express `value`: a float that is NaN or infinite, for example.
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

    /// The file to write the output `path` to: for large outputs, and for other programs. Creates the
    /// folders above it.
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

    /// The folder that the outputs are in; it may not exist yet.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Lists the outputs, ordered by path.
    ///
    /// # Errors
    /// [`StorageError::NotAFile`] for a symbolic link or special file, [`StorageError::Path`] for a
    /// name that is no [`ObjectPath`]. No file is skipped silently.
    pub async fn manifest(&self) -> Result<OutputManifest, StorageError> {
        let mut files: Vec<_> = match self.exists().await {
            false => Vec::new(),
            true => walk(&self.folder).try_collect().await?,
        };
        files.sort_unstable();
        Ok(OutputManifest {
            folder: self.folder.clone(),
            bytes: files.iter().map(|file| file.size).sum(),
            files: files.into(),
        })
    }

    /// Whether the folder exists.
    async fn exists(&self) -> bool {
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
