//! The interface of a store.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::content::ContentSource;
use crate::metadata::Metadata;
use crate::reader::ContentStream;
use crate::{
    Action, ObjectInfo, PresignedUrl, StorageClass, StorageError, StorageUri, TransferProgress,
};
use reefguide_transport::atomic_file::Destination;
use reefguide_transport::retry::RetryObserver;

/// A store of objects. URIs given to it have a key, except for `list`.
#[async_trait]
pub(crate) trait Backend: Debug + Send + Sync {
    /// An error, [`StorageError::Unsupported`], if it cannot hold an object of this name.
    fn accept(&self, action: Action, uri: &StorageUri) -> Result<(), StorageError>;

    /// The same store with an observer of its retries; `None` if it never retries.
    fn with_retry_observer(&self, _: &Arc<dyn RetryObserver>) -> Option<Arc<dyn Backend>> {
        None
    }

    /// Stores all of `content`, replacing the object if there is one. Readers see either the old or the new object.
    async fn put(
        &self,
        to: &StorageUri,
        content: ContentSource,
        metadata: &Metadata,
        progress: &TransferProgress,
    ) -> Result<ObjectInfo, StorageError>;

    /// Writes an object to a file, and describes it.
    async fn get(
        &self,
        from: &StorageUri,
        to: Destination,
        progress: &TransferProgress,
    ) -> Result<ObjectInfo, StorageError>;

    /// An object, with its content as a stream.
    async fn open(&self, from: &StorageUri) -> Result<(ObjectInfo, ContentStream), StorageError>;

    /// The objects whose keys begin with `folder`'s key and a `/`, in pages, ordered by key.
    fn list(
        &self,
        folder: &StorageUri,
    ) -> BoxStream<'static, Result<Vec<ObjectInfo>, StorageError>>;

    /// Describes an object.
    async fn info(&self, uri: &StorageUri) -> Result<ObjectInfo, StorageError>;

    /// Deletes an object. It is not an error if there is none.
    async fn delete(&self, uri: &StorageUri) -> Result<(), StorageError>;

    /// A URL to read an object, or to store one of this class, depending on `action`.
    async fn presign(
        &self,
        action: Action,
        uri: &StorageUri,
        expires: Duration,
        class: Option<StorageClass>,
    ) -> Result<PresignedUrl, StorageError>;

    /// Checks that objects in `bucket` can be listed.
    async fn probe(&self, bucket: &StorageUri) -> Result<(), StorageError>;
}
