//! Where objects are: S3 or a local folder, one way to use both.
//!
//! [`Storage`] moves files, folders and bytes to and from a [`StorageUri`], streaming, several at a
//! time and in bounded memory. [`InputCache`] keeps inputs on disk for further jobs. [`Outputs`] is
//! where a handler leaves what it made, and [`publish`] stores all of it or nothing.

mod backend;
mod cache;
mod content;
mod encryption;
mod error;
mod folder;
mod metadata;
mod options;
mod outputs;
mod pool;
mod presigned;
mod publish;
mod reader;
mod s3;
mod transfer;
mod tried;
mod uri;
mod walk;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};

pub use self::cache::{InputCache, InputFile};
pub use self::encryption::{Encryption, StorageClass};
pub use self::error::{Action, StorageError};
pub use self::options::{S3Credentials, S3Options};
pub use self::outputs::Outputs;
pub use self::presigned::PresignedUrl;
pub use self::publish::publish;
pub use self::reader::ObjectReader;
pub use self::transfer::FolderTransfer;
pub use self::tried::Tried;
pub use self::uri::{Scheme, StorageUri};
pub use self::walk::OutputFile;
pub use reefguide_transport::{ObjectPath, TransferProgress, TransferStats};

use self::backend::Backend;
use self::content::Source;
use self::metadata::Metadata;
use reefguide_transport::TransferObserver;
use reefguide_transport::atomic_file::Destination;
use reefguide_transport::open_files;
use reefguide_transport::retry::RetryObserver;

/// A store of objects. A clone is cheap and shares connections and limits.
///
/// Calls of one request are retried by themselves. Every call may be cancelled by dropping its
/// future: an object or a downloaded file is then as it was before or complete, nothing between.
#[derive(Clone, Debug)]
pub struct Storage {
    backend: Arc<dyn Backend>,
    metadata: Metadata,
    progress: TransferProgress,
    observers: Option<StorageObservers>,
}

/// Who learns of what a [`Storage`] does, for metrics.
#[derive(Clone, Debug)]
pub struct StorageObservers {
    /// Learns of what is uploaded.
    pub uploads: Arc<dyn TransferObserver>,
    /// Learns of what is downloaded.
    pub downloads: Arc<dyn TransferObserver>,
    /// Learns of requests that are tried again.
    pub retries: Arc<dyn RetryObserver>,
}

/// An object as its store describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectInfo {
    /// Where it is.
    pub uri: StorageUri,
    /// Its size in bytes.
    pub size: u64,
    /// The store's mark of this version of its content; a local folder makes none.
    pub etag: Option<String>,
}

impl ObjectInfo {
    fn within(&self, limit: u64) -> Result<(), StorageError> {
        if self.size <= limit {
            return Ok(());
        }
        Err(StorageError::OverLimit {
            uri: self.uri.clone(),
            size: self.size,
            limit,
        })
    }
}

impl Storage {
    /// S3, serving `s3://` URIs. Nothing is looked for or sent before it is used, so that what is missing,
    /// such as credentials, is the error of the first call; see [`probe`](Self::probe).
    ///
    /// Without credentials in `options` the first call searches the AWS default chain, which may ask the
    /// network. Proxies are those of the environment: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`.
    ///
    /// An answer counts only if it is one of S3's: it has an `ETag` if it has or takes content, and is XML
    /// otherwise. Anything else, such as a proxy's page or a redirect, is tried again, and then
    /// [`StorageError::Foreign`].
    #[expect(clippy::unused_async, reason = "its callers wait for it")]
    pub async fn s3(options: S3Options) -> Self {
        let class = options.storage_class;
        Self::over(s3::S3::new(options)).with_storage_class(class)
    }

    /// A local folder, serving every URI: `s3://bucket/key` is the file `bucket/key` below `root`,
    /// `file:///key` is `key`. Made when first written to. For tests and for running a handler
    /// without a server.
    ///
    /// No key leads out of `root`, and keys that are no [`ObjectPath`] are refused. An object cannot
    /// also be the folder of another.
    pub fn folder(root: impl Into<PathBuf>) -> Self {
        Self::over(folder::Folder::new(root.into()))
    }

    fn over(backend: impl Backend + 'static) -> Self {
        Self {
            backend: Arc::new(backend),
            metadata: Metadata::default(),
            progress: TransferProgress::default(),
            observers: None,
        }
    }

    /// The same store, whose transfers and retries `observers` learn of.
    pub fn with_observers(&self, observers: &StorageObservers) -> Self {
        let backend = self.backend.with_retry_observer(&observers.retries);
        Self {
            backend: backend.unwrap_or_else(|| self.backend.clone()),
            observers: Some(observers.clone()),
            ..self.clone()
        }
    }

    /// The same store; what is stored through the one returned is noted with these pairs of name and
    /// value, which S3 gives back as `x-amz-meta-{name}`. A local folder keeps none.
    ///
    /// # Errors
    /// [`StorageError::Metadata`] for a name that is not made of small letters, digits and `-`, a value that
    /// is not printable ASCII, and more than 2,048 bytes of both.
    pub fn with_metadata<N: Into<String>, V: Into<String>>(
        &self,
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, StorageError> {
        let pairs = pairs.into_iter();
        let pairs = pairs.map(|(name, value)| (name.into(), value.into()));
        Ok(Self {
            metadata: self.metadata.with(pairs)?,
            ..self.clone()
        })
    }

    /// The same store; what is stored through the one returned is of this class, or of the server's own.
    /// A local folder has none.
    pub fn with_storage_class(&self, class: Option<StorageClass>) -> Self {
        let mut storage = self.clone();
        storage.metadata.class = class;
        storage
    }

    /// The same store; what is moved through the one returned is counted in `progress`, and no longer
    /// where it was counted before.
    pub fn with_progress(&self, progress: &TransferProgress) -> Self {
        Self {
            progress: progress.clone(),
            ..self.clone()
        }
    }

    /// Where what is uploaded is counted.
    fn uploading(&self) -> TransferProgress {
        match &self.observers {
            Some(observers) => self.progress.with_observer(&observers.uploads),
            None => self.progress.clone(),
        }
    }

    /// Where what is downloaded is counted.
    fn downloading(&self) -> TransferProgress {
        match &self.observers {
            Some(observers) => self.progress.with_observer(&observers.downloads),
            None => self.progress.clone(),
        }
    }

    /// Where what is moved is counted.
    pub fn progress(&self) -> &TransferProgress {
        &self.progress
    }

    /// Stores the file `from` as `to`, replacing what was there. The content type follows from the
    /// name.
    pub async fn upload_file(
        &self,
        from: &Path,
        to: &StorageUri,
    ) -> Result<ObjectInfo, StorageError> {
        self.accept(Action::Store, to)?;
        self.put(to, Source::File(from.to_owned())).await
    }

    /// Stores `bytes` as `to`, replacing what was there.
    pub async fn upload_bytes(
        &self,
        bytes: impl Into<Bytes>,
        to: &StorageUri,
    ) -> Result<ObjectInfo, StorageError> {
        self.accept(Action::Store, to)?;
        self.put(to, Source::Memory(bytes.into())).await
    }

    async fn put(&self, to: &StorageUri, content: Source) -> Result<ObjectInfo, StorageError> {
        let _open = match &content {
            Source::File(_) => open_files::transfer().await,
            Source::Memory(_) => None,
        };
        let progress = self.uploading();
        let _under_way = progress.begin();
        let stored = self
            .backend
            .put(to, content, &self.metadata, &progress)
            .await?;
        progress.done();
        Ok(stored)
    }

    /// Stores every file below the folder `from`, at any depth, under the same path below `to`, several at
    /// a time and in memory that does not depend on how many there are.
    ///
    /// Hidden files are stored like others. An empty folder leaves nothing, for a store has objects only.
    ///
    /// # Errors
    /// Before anything is stored: [`StorageError::NotAFile`] for a symbolic link, which is never
    /// followed, and for a special file; [`StorageError::Path`] for a name that is not UTF-8 or else no
    /// [`ObjectPath`]. Later a transfer that fails; what was stored until then stays.
    pub async fn upload_folder(
        &self,
        from: &Path,
        to: &StorageUri,
    ) -> Result<FolderTransfer, StorageError> {
        let (storage, from, to) = (self.clone(), from.to_owned(), to.clone());
        // Files wake the task that counts them, which costs less among tasks than where a program waits.
        transfer::on_task(async move {
            transfer::fit(&from, &to).await?;
            transfer::upload(&storage, &from, walk::walk(&from), &to, drop).await
        })
        .await
    }

    /// Writes an object into the file `to` and returns which it was. The file appears when it is
    /// complete, replacing what was there; its folder is made.
    pub async fn download_file(
        &self,
        from: &StorageUri,
        to: &Path,
    ) -> Result<ObjectInfo, StorageError> {
        let to = std::path::absolute(to).map_err(StorageError::local("find", to))?;
        self.get(from, Destination::New(to)).await
    }

    async fn get(&self, from: &StorageUri, to: Destination) -> Result<ObjectInfo, StorageError> {
        self.accept(Action::Read, from)?;
        let _open = open_files::transfer().await;
        let progress = self.downloading();
        let _under_way = progress.begin();
        let written = self.backend.get(from, to, &progress).await?;
        progress.done();
        Ok(written)
    }

    /// Writes every object below `from` to the same path below the folder `to`, several at a time.
    /// Nothing below `from` is no error.
    ///
    /// Nothing is written outside of `to`: not for a key with `..`, and not through a symbolic link that
    /// is in `to` already. A link in the place of a file is replaced by the file.
    ///
    /// # Errors
    /// Besides a transfer that fails, an object whose key is no path below `to`, and one whose folder is
    /// a symbolic link. What was written until then stays.
    pub async fn download_folder(
        &self,
        from: &StorageUri,
        to: &Path,
    ) -> Result<FolderTransfer, StorageError> {
        let (storage, from, to) = (self.clone(), from.clone(), to.to_owned());
        let download = async move { transfer::download(&storage, &from, &to).await };
        transfer::on_task(download).await
    }

    /// The content of an object of at most `limit` bytes; a larger one is refused before it is read.
    pub async fn read(&self, from: &StorageUri, limit: u64) -> Result<Bytes, StorageError> {
        self.accept(Action::Read, from)?;
        let (info, mut pieces) = self.backend.open(from).await?;
        info.within(limit)?;
        let mut all = BytesMut::new();
        while let Some(piece) = pieces.try_next().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }

    /// An object whose content is read as it arrives, in little memory however large it is.
    pub async fn open(&self, from: &StorageUri) -> Result<ObjectReader, StorageError> {
        self.accept(Action::Read, from)?;
        let (info, pieces) = self.backend.open(from).await?;
        Ok(ObjectReader::new(info, pieces, self.downloading()))
    }

    /// Every object below the folder or bucket `folder`, ordered by key. For more than some ten
    /// thousand see [`pages`](Self::pages).
    pub async fn list(&self, folder: &StorageUri) -> Result<Vec<ObjectInfo>, StorageError> {
        self.pages(folder)?.into_stream().try_concat().await
    }

    /// [`list`](Self::list) a page at a time, so that its length does not matter.
    pub fn pages(&self, folder: &StorageUri) -> Result<Pages, StorageError> {
        self.backend.accept(Action::List, folder)?;
        Ok(Pages(self.backend.list(folder)))
    }

    /// An object's size, without its content.
    pub async fn info(&self, uri: &StorageUri) -> Result<ObjectInfo, StorageError> {
        self.accept(Action::Inspect, uri)?;
        self.backend.info(uri).await
    }

    /// Deletes an object. It is no error if there is none.
    pub async fn delete(&self, uri: &StorageUri) -> Result<(), StorageError> {
        self.accept(Action::Delete, uri)?;
        self.backend.delete(uri).await
    }

    /// Deletes every object below `folder`, several at a time, and returns how many there were. Nothing
    /// there is no error.
    ///
    /// # Errors
    /// The first deletion that fails. What was deleted until then is gone.
    pub async fn delete_folder(&self, folder: &StorageUri) -> Result<u64, StorageError> {
        self.accept(Action::Delete, folder)?;
        transfer::delete(self, folder).await
    }

    /// A URL with which anybody can read an object until it `expires`. Nothing is sent: whether there is
    /// such an object, and whether it may be read, is seen when the URL is used.
    ///
    /// It has the rights of this storage's credentials, and lives no longer than they do: those of a
    /// task role are lent for some hours.
    ///
    /// # Errors
    /// [`StorageError::Unsupported`] for a local folder, for less than 1 s or more than 7 days, and for a key
    /// with a part `.` or `..`, as clients leave these out of URLs.
    pub async fn presign_get(
        &self,
        uri: &StorageUri,
        expires: Duration,
    ) -> Result<PresignedUrl, StorageError> {
        self.presign(Action::Read, uri, expires).await
    }

    /// A URL with which anybody can store an object, of at most 5 GiB, until it `expires`; otherwise as
    /// [`presign_get`](Self::presign_get). What is stored replaces what was there, each time anew.
    ///
    /// If this storage has an [`Encryption`] or a [`StorageClass`], the object gets them too: they are among
    /// the [headers](PresignedUrl::headers) that the request must have. Metadata are not.
    ///
    /// # Errors
    /// As `presign_get`.
    pub async fn presign_put(
        &self,
        uri: &StorageUri,
        expires: Duration,
    ) -> Result<PresignedUrl, StorageError> {
        self.presign(Action::Store, uri, expires).await
    }

    async fn presign(
        &self,
        action: Action,
        uri: &StorageUri,
        expires: Duration,
    ) -> Result<PresignedUrl, StorageError> {
        self.accept(action, uri)?;
        let class = self.metadata.class;
        self.backend.presign(action, uri, expires, class).await
    }

    /// Asks whether `bucket` can be used: the server answers, knows the credentials, has the bucket
    /// and lets its objects be listed.
    pub async fn probe(&self, bucket: &str) -> Result<(), StorageError> {
        let bucket: StorageUri = format!("s3://{bucket}").parse()?;
        self.backend.accept(Action::List, &bucket)?;
        self.backend.probe(&bucket).await
    }

    /// An object has a key, whatever the store.
    fn accept(&self, action: Action, uri: &StorageUri) -> Result<(), StorageError> {
        if uri.key().is_empty() {
            return Err(StorageError::Unsupported {
                action,
                uri: uri.clone(),
                problem: "it names no object: add a key to it",
            });
        }
        self.backend.accept(action, uri)
    }
}

/// The objects below a place, a page at a time; from [`Storage::pages`].
pub struct Pages(BoxStream<'static, Result<Vec<ObjectInfo>, StorageError>>);

impl Pages {
    /// The next page, at most about 1,000 objects; `None` after the last. Nothing comes after an
    /// error.
    pub async fn next(&mut self) -> Option<Result<Vec<ObjectInfo>, StorageError>> {
        self.0.next().await
    }

    fn into_stream(self) -> BoxStream<'static, Result<Vec<ObjectInfo>, StorageError>> {
        self.0
    }
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_may_be_made_on_a_spawned_task() {
        fn may_be_spawned<T: Future + Send>(_: impl Fn(Storage, StorageUri) -> T) {}
        may_be_spawned(
            |storage, uri| async move { storage.upload_file(Path::new(""), &uri).await },
        );
        may_be_spawned(|storage, uri| async move { storage.upload_bytes("", &uri).await });
        may_be_spawned(
            |storage, uri| async move { storage.upload_folder(Path::new(""), &uri).await },
        );
        may_be_spawned(
            |storage, uri| async move { storage.download_file(&uri, Path::new("")).await },
        );
        may_be_spawned(
            |storage, uri| async move { storage.download_folder(&uri, Path::new("")).await },
        );
        may_be_spawned(|storage, uri| async move { storage.list(&uri).await });
        may_be_spawned(
            |storage, uri| async move { storage.open(&uri).await?.next().await.transpose() },
        );
        may_be_spawned(
            |storage, uri| async move { publish(&Outputs::new(""), &storage, &uri).await },
        );
    }
}
