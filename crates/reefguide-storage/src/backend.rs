//! What a store must be able to do.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::content::Source;
use crate::metadata::Metadata;
use crate::reader::Arriving;
use crate::{
    Action, ObjectInfo, PresignedUrl, StorageClass, StorageError, StorageUri, TransferProgress,
};
use reefguide_transport::atomic_file::Destination;
use reefguide_transport::retry::RetryObserver;

/// A store of objects. URIs given to it have a key, except for `list`.
#[async_trait]
pub(crate) trait Backend: Debug + Send + Sync {
    /// Whether it can hold what `uri` names; [`StorageError::Unsupported`] if not.
    fn accept(&self, action: Action, uri: &StorageUri) -> Result<(), StorageError>;

    /// The same store, which counts its retries in `metrics`; `None` if it has none.
    fn with_retry_observer(&self, _: &Arc<dyn RetryObserver>) -> Option<Arc<dyn Backend>> {
        None
    }

    /// Stores all of `content`, replacing what was there; readers see the old or the new object. Its size
    /// is found on the way.
    async fn put(
        &self,
        to: &StorageUri,
        content: Source,
        metadata: &Metadata,
        progress: &TransferProgress,
    ) -> Result<ObjectInfo, StorageError>;

    /// Writes an object into a file and returns which it was.
    async fn get(
        &self,
        from: &StorageUri,
        to: Destination,
        progress: &TransferProgress,
    ) -> Result<ObjectInfo, StorageError>;

    /// An object, whose content is read as it is asked for.
    async fn open(&self, from: &StorageUri) -> Result<(ObjectInfo, Arriving), StorageError>;

    /// The objects whose keys begin with `folder`'s key and a `/`, by key, a bounded number at a
    /// time.
    fn list(
        &self,
        folder: &StorageUri,
    ) -> BoxStream<'static, Result<Vec<ObjectInfo>, StorageError>>;

    /// An object's size.
    async fn info(&self, uri: &StorageUri) -> Result<ObjectInfo, StorageError>;

    /// Deletes an object; fine if there is none.
    async fn delete(&self, uri: &StorageUri) -> Result<(), StorageError>;

    /// A URL for others to read an object with, or to store one of this class: `action` says which.
    async fn presign(
        &self,
        action: Action,
        uri: &StorageUri,
        expires: Duration,
        class: Option<StorageClass>,
    ) -> Result<PresignedUrl, StorageError>;

    /// Whether objects in `bucket` can be listed.
    async fn probe(&self, bucket: &StorageUri) -> Result<(), StorageError>;
}
