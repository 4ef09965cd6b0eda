//! All outputs of an attempt, or none.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tracing::Instrument;

use crate::transfer::{self, FolderTransfer};
use crate::{Action, ObjectInfo, ObjectPath, Outputs, Storage, StorageError, StorageUri};
use reefguide_transport::Chain;

/// How long taking back may take.
const TAKE_BACK_LIMIT: Duration = Duration::from_secs(10);
/// How many objects are taken back at once.
const TAKE_BACK_AT_ONCE: usize = 16;

/// Stores every output as `{to}/{path}`, several at a time, each with a checksum that the store compares,
/// and then asks the store whether each is there in its full size and with the ETag that it was given, if
/// the credentials allow to list.
///
/// # Errors
/// An output that cannot be published ([`Outputs::files`]) is refused before anything is stored.
/// After a failure later on, the files this call had begun are deleted again, as far as that is
/// possible within 10 s, and [`StorageError::Publish`] says what came of it.
///
/// # Cancel safety
/// When the future is dropped, what it had begun is deleted in the background.
pub async fn publish(
    outputs: &Outputs,
    storage: &Storage,
    to: &StorageUri,
) -> Result<FolderTransfer, StorageError> {
    outputs.fit(to).await?;
    let begun = Begun {
        storage: storage.clone(),
        to: to.clone(),
        paths: Mutex::default(),
    };
    match store(outputs, to, &begun).await {
        Ok(published) => {
            begun.keep();
            Ok(published)
        }
        Err(source) => {
            let (removed, left) = begun.take_back().await;
            Err(StorageError::Publish {
                to: to.clone(),
                removed,
                left,
                source: Box::new(source),
            })
        }
    }
}

async fn store(
    outputs: &Outputs,
    to: &StorageUri,
    begun: &Begun,
) -> Result<FolderTransfer, StorageError> {
    let starting = outputs
        .found()
        .await
        .inspect_ok(|file| begun.add(&file.path));
    let mut stored = Stored::default();
    let store = |object: ObjectInfo| stored.add(&object);
    let published = transfer::upload(&begun.storage, outputs.folder(), starting, to, store).await?;
    match verify(stored, begun).await {
        // A role may be allowed to write and not to list; each upload was confirmed on its own.
        Err(error @ StorageError::AccessDenied { .. }) => {
            tracing::debug!(error = %Chain(&error), "outputs not listed after storing them");
        }
        verified => verified?,
    }
    Ok(published)
}

/// Compares what the store lists with what it said when it took it.
async fn verify(mut stored: Stored, begun: &Begun) -> Result<(), StorageError> {
    if stored.is_empty() {
        return Ok(());
    }
    let mut pages = begun.storage.pages(&begun.to)?;
    while let Some(page) = pages.next().await {
        for object in page? {
            stored.remove_if_same(&object);
        }
    }
    match stored.first_of(begun)? {
        None => Ok(()),
        Some((uri, size)) => Err(StorageError::Broken {
            action: Action::Store,
            uri,
            problem: format!(
                "the store does not list it with its {size} bytes and the ETag that it gave"
            ),
            tried: None,
        }),
    }
}

/// What the store said of each object when it took it, by hashes, as there may be very many.
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
        // A store need not put ETags into quotes each time.
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

    /// Removes what can have the same content as a listed object.
    fn remove_if_same(&mut self, listed: &ObjectInfo) {
        let (name, listed) = (self.name(&listed.uri), self.mark(listed));
        let same = |sent: &Mark| {
            sent.size == listed.size
                && match (sent.etag, listed.etag) {
                    (Some(sent), Some(listed)) => sent == listed,
                    // A store need not list ETags.
                    _ => true,
                }
        };
        if self.objects.get(&name).is_some_and(same) {
            self.objects.remove(&name);
        }
    }

    /// An object that was not removed, and its size.
    fn first_of(&self, begun: &Begun) -> Result<Option<(StorageUri, u64)>, StorageError> {
        for path in begun.paths().lines() {
            let uri = begun.to.join(path)?;
            if let Some(sent) = self.objects.get(&self.name(&uri)) {
                return Ok(Some((uri, sent.size)));
            }
        }
        Ok(None)
    }
}

/// The objects a publication may have stored; taken back unless it says otherwise.
struct Begun {
    storage: Storage,
    to: StorageUri,
    /// Each with a newline, which no path has: one text takes a fraction of what as many would.
    paths: Mutex<String>,
}

impl Begun {
    fn paths(&self) -> MutexGuard<'_, String> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, path: &ObjectPath) {
        let mut paths = self.paths();
        paths.push_str(path.as_str());
        paths.push('\n');
    }

    fn take(&self) -> String {
        mem::take(&mut *self.paths())
    }

    fn keep(&self) {
        self.take();
    }

    /// Deletes the objects; how many were, and how many perhaps were not.
    async fn take_back(&self) -> (u64, u64) {
        delete_all(self.storage.clone(), self.to.clone(), self.take()).await
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let paths = self.take();
        if paths.is_empty() {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            let deleting = delete_all(self.storage.clone(), self.to.clone(), paths);
            runtime.spawn(deleting.in_current_span());
        }
    }
}

async fn delete_all(storage: Storage, to: StorageUri, paths: String) -> (u64, u64) {
    let all = paths.lines().count() as u64;
    let removed = AtomicU64::new(0);
    let paths = stream::iter(paths.lines().map(str::to_owned));
    let deleting = paths.for_each_concurrent(TAKE_BACK_AT_ONCE, |path| {
        let (storage, to, removed) = (&storage, &to, &removed);
        async move {
            let deleted = match to.join(&path) {
                Ok(object) => storage.delete(&object).await,
                Err(error) => Err(error),
            };
            match deleted {
                Ok(()) => {
                    removed.fetch_add(1, Relaxed);
                }
                Err(error) => tracing::warn!(storage_uri = %to, path, error = %Chain(&error), "output not taken back"),
            }
        }
    });
    // What the time did not allow counts as left.
    let _ = timeout(TAKE_BACK_LIMIT, deleting).await;
    let removed = removed.into_inner();
    tracing::debug!(removed, left = all - removed, "outputs taken back");
    (removed, all - removed)
}
