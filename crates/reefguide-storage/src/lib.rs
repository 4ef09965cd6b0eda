//! Object storage: S3 or a local folder, with one interface for both.
//!
//! [`Storage`] moves files, folders and bytes to and from a [`StorageUri`], streaming, several at a
//! time and in bounded memory. [`InputCache`] keeps inputs on disk for later jobs. A handler writes its
//! files to [`Outputs`], and [`publish`] stores all of them or none.

mod backend;
mod cache;
mod content;
mod encryption;
mod error;
mod local_folder;
mod metadata;
mod options;
mod outputs;
mod pool;
mod presigned;
mod publish;
mod reader;
mod request_tries;
mod s3;
mod transfer;
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
pub use self::error::{Action, FailedRequest, StorageError};
pub use self::options::{S3Credentials, S3Options};
pub use self::outputs::{OutputManifest, Outputs};
pub use self::presigned::PresignedUrl;
pub use self::publish::publish;
pub use self::reader::ObjectReader;
pub use self::request_tries::RequestTries;
pub use self::transfer::FolderTransfer;
pub use self::uri::{Scheme, StorageUri};
pub use self::walk::OutputFile;
pub use reefguide_transport::{ObjectPath, TransferProgress, TransferStats};

use self::backend::Backend;
use self::content::ContentSource;
use self::metadata::Metadata;
use reefguide_transport::TransferObserver;
use reefguide_transport::atomic_file::Destination;
use reefguide_transport::open_files;
use reefguide_transport::retry::RetryObserver;

/// A store of objects. A clone is cheap and shares connections and limits.
///
/// Each request is retried. To cancel a call, drop its future: the object or the downloaded file is then
/// unchanged or complete, never partial.
#[derive(Clone, Debug)]
pub struct Storage {
    backend: Arc<dyn Backend>,
    metadata: Metadata,
    progress: TransferProgress,
    observers: Option<StorageObservers>,
}

/// What to notify of a [`Storage`]'s work, for metrics.
#[derive(Clone, Debug)]
pub struct StorageObservers {
    /// Notified of uploads.
    pub uploads: Arc<dyn TransferObserver>,
    /// Notified of downloads.
    pub downloads: Arc<dyn TransferObserver>,
    /// Notified of retries.
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
    /// The store's identifier of this version of the content; a local folder has none.
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
    /// S3, for `s3://` URIs. Nothing is looked up or sent before the first call, so missing credentials, for example,
    /// are an error of that call; see [`probe`](Self::probe).
    ///
    /// Without credentials in `options`, the first call searches the AWS default chain, which may use the
    /// network. Proxies come from the environment: `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`.
    ///
    /// Only answers of S3 count: they have an `ETag` if they return or store content, and are XML
    /// otherwise. After anything else, such as a proxy's page or a redirect, the request is retried; if that does not
    /// help, the call fails with [`StorageError::Foreign`].
    pub fn s3(options: S3Options) -> Self {
        let class = options.storage_class;
        Self::over(s3::S3::new(options)).with_storage_class(class)
    }

    /// A local folder, for every URI: `s3://bucket/key` is the file `bucket/key` below `root`, and
    /// `file:///key` is `key`. The first write creates the folder. For tests, and for running a handler
    /// without a server.
    ///
    /// No key leads out of `root`: a key must be an [`ObjectPath`]. An object cannot also be the folder of another
    /// one.
    pub fn folder(root: impl Into<PathBuf>) -> Self {
        Self::over(local_folder::LocalFolder::new(root.into()))
    }

    fn over(backend: impl Backend + 'static) -> Self {
        Self {
            backend: Arc::new(backend),
            metadata: Metadata::default(),
            progress: TransferProgress::default(),
            observers: None,
        }
    }

    /// The same store, with `observers` for its transfers and retries.
    pub fn with_observers(&self, observers: &StorageObservers) -> Self {
        let backend = self.backend.with_retry_observer(&observers.retries);
        Self {
            backend: backend.unwrap_or_else(|| self.backend.clone()),
            observers: Some(observers.clone()),
            ..self.clone()
        }
    }

    /// The same store; objects that are stored through the one returned get these pairs of name and
    /// value, which S3 returns as `x-amz-meta-{name}`. A local folder ignores them.
    ///
    /// # Errors
    /// [`StorageError::Metadata`] for a name with other characters than lower-case letters, digits and `-`, for a value
    /// that is not printable ASCII, and for more than 2,048 bytes in total.
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

    /// The same store; objects that are stored through the one returned have this class, or the server's default.
    /// A local folder ignores it.
    pub fn with_storage_class(&self, class: Option<StorageClass>) -> Self {
        let mut storage = self.clone();
        storage.metadata.class = class;
        storage
    }

    /// The same store; `progress`, instead of the one it had, counts the transfers of the one returned.
    ///
    /// ```
    /// # use reefguide_storage::{Storage, StorageError, StorageUri, TransferProgress};
    /// # async fn fetch(storage: &Storage, from: &StorageUri, to: &std::path::Path) -> Result<(), StorageError> {
    /// let progress = TransferProgress::default();
    /// let downloading = storage.with_progress(&progress);
    /// let show = async {
    ///     loop {
    ///         tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    ///         println!("{}", progress.now());
    ///     }
    /// };
    /// tokio::select! {
    ///     done = downloading.download_folder(from, to) => done.map(drop),
    ///     () = show => Ok(()),
    /// }
    /// # }
    /// ```
    pub fn with_progress(&self, progress: &TransferProgress) -> Self {
        Self {
            progress: progress.clone(),
            ..self.clone()
        }
    }

    /// Counts uploads.
    fn uploading(&self) -> TransferProgress {
        match &self.observers {
            Some(observers) => self.progress.with_observer(&observers.uploads),
            None => self.progress.clone(),
        }
    }

    /// Counts downloads.
    fn downloading(&self) -> TransferProgress {
        match &self.observers {
            Some(observers) => self.progress.with_observer(&observers.downloads),
            None => self.progress.clone(),
        }
    }

    /// Counts this store's transfers.
    pub fn progress(&self) -> &TransferProgress {
        &self.progress
    }

    /// Stores the file `from` as `to`, replacing the object if there is one. The extension in `to` determines the
    /// content type.
    pub async fn upload_file(
        &self,
        from: &Path,
        to: &StorageUri,
    ) -> Result<ObjectInfo, StorageError> {
        self.accept(Action::Store, to)?;
        self.put(to, ContentSource::File(from.to_owned())).await
    }

    /// Stores `bytes` as `to`, replacing the object if there is one.
    pub async fn upload_bytes(
        &self,
        bytes: impl Into<Bytes>,
        to: &StorageUri,
    ) -> Result<ObjectInfo, StorageError> {
        self.accept(Action::Store, to)?;
        self.put(to, ContentSource::Memory(bytes.into())).await
    }

    async fn put(
        &self,
        to: &StorageUri,
        content: ContentSource,
    ) -> Result<ObjectInfo, StorageError> {
        let _open = match &content {
            ContentSource::File(_) => open_files::transfer().await,
            ContentSource::Memory(_) => None,
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
    /// a time. The memory it takes does not depend on the number of files.
    ///
    /// Hidden files are stored too. Empty folders are not, since a store has only objects.
    ///
    /// # Errors
    /// Before anything is stored: [`StorageError::NotAFile`] for a symbolic link, which is never
    /// followed, and for a special file; [`StorageError::Path`] for a name that is not an
    /// [`ObjectPath`]. Later, a transfer that fails; files that are already stored remain.
    pub async fn upload_folder(
        &self,
        from: &Path,
        to: &StorageUri,
    ) -> Result<FolderTransfer, StorageError> {
        let (storage, from, to) = (self.clone(), from.to_owned(), to.clone());
        // Each finished file wakes the task that adds it up, which is cheaper on a worker thread than in `block_on`.
        transfer::on_task(async move {
            transfer::check_keys(&from, &to).await?;
            transfer::upload(&storage, &from, walk::walk(&from), &to, drop).await
        })
        .await
    }

    /// Writes an object to the file `to`, and describes it. The file appears when it is
    /// complete, replacing an earlier one. Its folder is created.
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
    /// It is not an error if there are none.
    ///
    /// Nothing is written outside of `to`: not for a key with `..`, and not through a symbolic link that
    /// is already in `to`. A link in the place of a file is replaced by the file.
    ///
    /// # Errors
    /// A transfer that fails, an object whose key is not a path below `to`, or one whose folder is
    /// a symbolic link. Files that are already written remain.
    pub async fn download_folder(
        &self,
        from: &StorageUri,
        to: &Path,
    ) -> Result<FolderTransfer, StorageError> {
        let (storage, from, to) = (self.clone(), from.clone(), to.to_owned());
        let download = async move { transfer::download(&storage, &from, &to).await };
        transfer::on_task(download).await
    }

    /// The content of an object of at most `limit` bytes. A larger object is an error, and is not read.
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

    /// An object whose content is read as it arrives. The memory it takes does not depend on its size.
    pub async fn open(&self, from: &StorageUri) -> Result<ObjectReader, StorageError> {
        self.accept(Action::Read, from)?;
        let (info, pieces) = self.backend.open(from).await?;
        Ok(ObjectReader::new(info, pieces, self.downloading()))
    }

    /// Every object below the folder or bucket `folder`, ordered by key. For tens of thousands of objects, use
    /// [`pages`](Self::pages).
    pub async fn list(&self, folder: &StorageUri) -> Result<Vec<ObjectInfo>, StorageError> {
        self.pages(folder)?.into_stream().try_concat().await
    }

    /// [`list`](Self::list), a page at a time, for listings of any length.
    pub fn pages(&self, folder: &StorageUri) -> Result<Pages, StorageError> {
        self.backend.accept(Action::List, folder)?;
        Ok(Pages(self.backend.list(folder)))
    }

    /// Describes an object without reading it.
    pub async fn info(&self, uri: &StorageUri) -> Result<ObjectInfo, StorageError> {
        self.accept(Action::Inspect, uri)?;
        self.backend.info(uri).await
    }

    /// Deletes an object. It is not an error if there is none.
    pub async fn delete(&self, uri: &StorageUri) -> Result<(), StorageError> {
        self.accept(Action::Delete, uri)?;
        self.backend.delete(uri).await
    }

    /// Deletes every object below `folder`, several at a time, and returns how many there were. It is not an error
    /// if there are none.
    ///
    /// # Errors
    /// The first deletion that fails. Others may have succeeded.
    pub async fn delete_folder(&self, folder: &StorageUri) -> Result<u64, StorageError> {
        self.accept(Action::Delete, folder)?;
        transfer::delete(self, folder).await
    }

    /// A URL with which anyone can read an object until it `expires`. Nothing is sent: if the object does not exist
    /// or must not be read, only using the URL shows it.
    ///
    /// The URL has the permissions of this storage's credentials, and expires with them. Credentials of a role
    /// last for some hours.
    ///
    /// # Errors
    /// [`StorageError::Unsupported`] for a local folder, for less than 1 s or more than 7 days, and for a key
    /// with a part `.` or `..`, since clients remove these from URLs.
    pub async fn presign_get(
        &self,
        uri: &StorageUri,
        expires: Duration,
    ) -> Result<PresignedUrl, StorageError> {
        self.presign(Action::Read, uri, expires).await
    }

    /// A URL with which anyone can store an object of at most 5 GiB until it `expires`; see
    /// [`presign_get`](Self::presign_get). Each upload replaces the object.
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

    /// Checks that `bucket` can be used: the server answers, accepts the credentials, has the bucket
    /// and allows to list its objects.
    pub async fn probe(&self, bucket: &str) -> Result<(), StorageError> {
        let bucket: StorageUri = format!("s3://{bucket}").parse()?;
        self.backend.accept(Action::List, &bucket)?;
        self.backend.probe(&bucket).await
    }

    /// In every store, an object has a key.
    fn accept(&self, action: Action, uri: &StorageUri) -> Result<(), StorageError> {
        if uri.key().is_empty() {
            return Err(StorageError::Unsupported {
                action,
                uri: uri.clone(),
                problem: "it does not name an object: add a key to it",
            });
        }
        self.backend.accept(action, uri)
    }
}

/// The objects below a place, a page at a time; from [`Storage::pages`].
pub struct Pages(BoxStream<'static, Result<Vec<ObjectInfo>, StorageError>>);

impl Pages {
    /// The next page of at most about 1,000 objects; `None` after the last one, and after an error.
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
        may_be_spawned(|storage, uri| async move {
            let outputs = Outputs::new("").manifest().await?;
            publish(&outputs, &storage, &uri).await
        });
    }
}
