//! All outputs of an attempt, or none.

use std::collections::HashMap;
use std::mem;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::transfer::{self, FolderTransfer};
use super::{Action, ObjectInfo, OutputFile, Outputs, Storage, StorageError, StorageUri};

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
    let files = outputs.files().await?;
    for file in &files {
        to.object(&file.path)?;
    }
    let begun = Begun {
        storage: storage.clone(),
        objects: Mutex::default(),
    };
    match store(outputs, &files, to, &begun).await {
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
    files: &[OutputFile],
    to: &StorageUri,
    begun: &Begun,
) -> Result<FolderTransfer, StorageError> {
    // Owned items: a closure over references would keep this future from being `Send` for the compiler.
    let starting = stream::iter(files.to_vec()).map(|file| {
        begun.add(to.object(&file.path)?);
        Ok(file)
    });
    let mut stored = HashMap::with_capacity(files.len());
    let store = |object: ObjectInfo| drop(stored.insert(object.uri.clone(), object));
    let published = transfer::upload(&begun.storage, outputs.folder(), starting, to, store).await?;
    match verify(stored, &begun.storage, to).await {
        // A role may be allowed to write and not to list; each upload was confirmed on its own.
        Err(error @ StorageError::AccessDenied { .. }) => {
            tracing::debug!(%error, "outputs not listed after storing them");
        }
        verified => verified?,
    }
    Ok(published)
}

/// Compares what the store lists with what it said when it took it.
async fn verify(
    mut stored: HashMap<StorageUri, ObjectInfo>,
    storage: &Storage,
    to: &StorageUri,
) -> Result<(), StorageError> {
    if stored.is_empty() {
        return Ok(());
    }
    let mut pages = storage.pages(to)?;
    while let Some(page) = pages.next().await {
        for object in page? {
            if stored
                .get(&object.uri)
                .is_some_and(|sent| same(sent, &object))
            {
                stored.remove(&object.uri);
            }
        }
    }
    match stored.into_values().next() {
        None => Ok(()),
        Some(ObjectInfo { uri, size, etag }) => Err(StorageError::Broken {
            action: Action::Store,
            uri,
            problem: match etag {
                Some(etag) => {
                    format!("the store does not list it with its {size} bytes and ETag {etag}")
                }
                None => format!("the store does not list it with its {size} bytes"),
            },
            tried: None,
        }),
    }
}

/// Whether two descriptions of an object can be of the same content.
fn same(sent: &ObjectInfo, listed: &ObjectInfo) -> bool {
    // A store need not list ETags, and need not put them into quotes each time.
    let bare = |object: &ObjectInfo| Some(object.etag.as_ref()?.trim_matches('"').to_owned());
    sent.size == listed.size
        && match (bare(sent), bare(listed)) {
            (Some(sent), Some(listed)) => sent == listed,
            _ => true,
        }
}

/// The objects a publication may have stored; taken back unless it says otherwise.
struct Begun {
    storage: Storage,
    objects: Mutex<Vec<StorageUri>>,
}

impl Begun {
    fn add(&self, object: StorageUri) {
        self.objects
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(object);
    }

    fn take(&self) -> Vec<StorageUri> {
        mem::take(
            &mut *self
                .objects
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        )
    }

    fn keep(&self) {
        self.take();
    }

    /// Deletes the objects; how many were, and how many perhaps were not.
    async fn take_back(&self) -> (u64, u64) {
        delete_all(self.storage.clone(), self.take()).await
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        let objects = self.take();
        if objects.is_empty() {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(delete_all(self.storage.clone(), objects));
        }
    }
}

async fn delete_all(storage: Storage, objects: Vec<StorageUri>) -> (u64, u64) {
    let all = objects.len() as u64;
    let removed = std::sync::atomic::AtomicU64::new(0);
    let deleting = stream::iter(objects).for_each_concurrent(TAKE_BACK_AT_ONCE, |object| {
        let (storage, removed) = (&storage, &removed);
        async move {
            match storage.delete(&object).await {
                Ok(()) => {
                    removed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                }
                Err(error) => tracing::warn!(%object, %error, "output not taken back"),
            }
        }
    });
    // What the time did not allow counts as left.
    let _ = timeout(TAKE_BACK_LIMIT, deleting).await;
    let removed = removed.into_inner();
    tracing::debug!(removed, left = all - removed, "outputs taken back");
    (removed, all - removed)
}
