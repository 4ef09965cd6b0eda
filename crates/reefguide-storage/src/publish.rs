//! Storing all outputs of an attempt, or none.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tracing::Instrument;

use crate::transfer::{self, FolderTransfer};
use crate::{Action, ObjectInfo, OutputManifest, Storage, StorageError, StorageUri};
use reefguide_transport::Chain;

/// How long a rollback may take.
const ROLLBACK_LIMIT: Duration = Duration::from_secs(10);
/// How many objects a rollback deletes at once.
const DELETES_AT_ONCE: usize = 16;

/// Stores every output as `{to}/{path}`, several at a time, each with a checksum that the store compares.
/// Then lists the store, if the credentials allow it, to confirm that each output has its full size and the ETag that
/// the store returned for it.
///
/// # Errors
/// An output without a valid key is refused before anything is stored. After a later failure, the files
/// that this call had begun to store are deleted again, as far as possible within 10 s, and
/// [`StorageError::Publish`] says how many remain.
///
/// # Cancel safety
/// When the future is dropped, the files that it had begun to store are deleted in the background.
pub async fn publish(
    outputs: &OutputManifest,
    storage: &Storage,
    to: &StorageUri,
) -> Result<FolderTransfer, StorageError> {
    outputs.check_keys(to)?;
    let guard = PublishGuard {
        storage: storage.clone(),
        to: to.clone(),
        outputs: outputs.clone(),
        begun: AtomicUsize::new(0),
    };
    match store(&guard).await {
        Ok(published) => {
            guard.keep();
            Ok(published)
        }
        Err(source) => {
            let (removed, left) = guard.rollback().await;
            Err(StorageError::Publish {
                to: to.clone(),
                removed,
                left,
                source: Box::new(source),
            })
        }
    }
}

async fn store(guard: &PublishGuard) -> Result<FolderTransfer, StorageError> {
    let PublishGuard {
        storage,
        to,
        outputs,
        begun,
    } = guard;
    let files = stream::iter(outputs.files().iter().cloned().map(Ok)).inspect(|_| {
        begun.fetch_add(1, Relaxed);
    });
    let mut stored = Stored::default();
    let add = |object: ObjectInfo| stored.add(&object);
    let published = transfer::upload(storage, outputs.folder(), files, to, add).await?;
    match verify(stored, guard).await {
        // A role may be allowed to write but not to list; the store confirmed each upload when it took it.
        Err(error @ StorageError::AccessDenied { .. }) => {
            tracing::debug!(error = %Chain(&error), "outputs not listed after storing them");
        }
        verified => verified?,
    }
    Ok(published)
}

/// Compares the store's listing with its answers to the uploads.
async fn verify(mut stored: Stored, guard: &PublishGuard) -> Result<(), StorageError> {
    if stored.is_empty() {
        return Ok(());
    }
    let mut pages = guard.storage.pages(&guard.to)?;
    while let Some(page) = pages.next().await {
        for object in page? {
            stored.remove_if_same(&object);
        }
    }
    for file in guard.outputs.files() {
        let uri = guard.to.object(&file.path)?;
        if let Some(size) = stored.size_of(&uri) {
            return Err(StorageError::Broken {
                action: Action::Store,
                uri,
                problem: format!(
                    "the store does not list it with its {size} bytes and the ETag that it gave"
                ),
                tried: None,
            });
        }
    }
    Ok(())
}

/// The store's answers to the uploads. Kept as hashes, since there may be very many.
#[derive(Default)]
struct Stored {
    hasher: RandomState,
    objects: HashMap<u64, Mark>,
}

/// Size and hashed ETag of an object.
struct Mark {
    size: u64,
    etag: Option<u64>,
}

impl Stored {
    fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    fn name(&self, uri: &StorageUri) -> u64 {
        self.hasher.hash_one(uri.key())
    }

    fn mark(&self, object: &ObjectInfo) -> Mark {
        // A store may or may not quote its ETags.
        let etag = object.etag.as_ref().map(|etag| etag.trim_matches('"'));
        Mark {
            size: object.size,
            etag: etag.map(|etag| self.hasher.hash_one(etag)),
        }
    }

    fn add(&mut self, object: &ObjectInfo) {
        let (name, mark) = (self.name(&object.uri), self.mark(object));
        self.objects.insert(name, mark);
    }

    /// Removes the object if the listed one can have the same content.
    fn remove_if_same(&mut self, listed: &ObjectInfo) {
        let (name, listed) = (self.name(&listed.uri), self.mark(listed));
        let same = |sent: &Mark| {
            sent.size == listed.size
                && match (sent.etag, listed.etag) {
                    (Some(sent), Some(listed)) => sent == listed,
                    // Some stores list no ETags.
                    _ => true,
                }
        };
        if self.objects.get(&name).is_some_and(same) {
            self.objects.remove(&name);
        }
    }

    /// The size of an object that was not removed.
    fn size_of(&self, uri: &StorageUri) -> Option<u64> {
        self.objects.get(&self.name(uri)).map(|sent| sent.size)
    }
}

/// Deletes the objects that a publication may have stored, unless `keep` is called.
struct PublishGuard {
    storage: Storage,
    to: StorageUri,
    outputs: OutputManifest,
    /// How many of the outputs are begun: they are stored in the manifest's order.
    begun: AtomicUsize,
}

impl PublishGuard {
    fn keep(&self) {
        self.begun.store(0, Relaxed);
    }

    /// Deletes the objects. Returns how many are deleted, and how many may remain.
    fn rollback(&self) -> impl Future<Output = (u64, u64)> + Send + use<> {
        let begun = self.begun.swap(0, Relaxed);
        let (storage, to) = (self.storage.clone(), self.to.clone());
        delete_first(storage, to, self.outputs.clone(), begun)
    }
}

impl Drop for PublishGuard {
    fn drop(&mut self) {
        if *self.begun.get_mut() == 0 {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(self.rollback().in_current_span());
        }
    }
}

/// Deletes the first `begun` of the outputs.
async fn delete_first(
    storage: Storage,
    to: StorageUri,
    outputs: OutputManifest,
    begun: usize,
) -> (u64, u64) {
    let removed = AtomicU64::new(0);
    let files = stream::iter(outputs.files().iter().take(begun));
    let deleting = files.for_each_concurrent(DELETES_AT_ONCE, |file| {
        let (storage, to, removed) = (&storage, &to, &removed);
        async move {
            let deleted = match to.object(&file.path) {
                Ok(object) => storage.delete(&object).await,
                Err(error) => Err(error),
            };
            match deleted {
                Ok(()) => {
                    removed.fetch_add(1, Relaxed);
                }
                Err(error) => {
                    let path = file.path.as_str();
                    tracing::warn!(storage_uri = %to, path, error = %Chain(&error), "output not taken back");
                }
            }
        }
    });
    // What there was no time for counts as left.
    let _ = timeout(ROLLBACK_LIMIT, deleting).await;
    let removed = removed.into_inner();
    let left = begun as u64 - removed;
    tracing::debug!(removed, left, "outputs taken back");
    (removed, left)
}
