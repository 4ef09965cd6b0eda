//! Inputs that are kept on disk from one job to the next.
//!
//! A file in the cache is one version of one object, known by its URI and ETag, and is never changed.
//! All that several tasks, processes or machines have to agree on goes by locks on files, which the
//! system releases when a process ends, however it ends.

mod entries;
mod input;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use self::input::InputFile;

use self::entries::{Entries, Found, Unfinished, Version};
use super::{ObjectInfo, Storage, StorageError, StorageUri};
use reefguide_transport::atomic_file::{Destination, FileSystemError};
use reefguide_transport::blocking::blocking;
use reefguide_transport::open_files;
use reefguide_transport::retry::RetryPolicy;

/// How often it is looked whether another has finished. Nobody tells: it may be on another machine.
const LOOKS: RetryPolicy = RetryPolicy::new(Duration::from_millis(20))
    .cap(Duration::from_millis(500))
    .unlimited();
/// How many versions of an object that is replaced all the time are tried.
const VERSIONS: usize = 3;

/// A folder of inputs, each downloaded once for all who need it: tasks, processes, and machines that
/// share a file system with locks, such as EFS. A clone is the same cache.
///
/// It has at most `limit` bytes, downloads under way included. When there is no room, what was not used
/// for the longest time goes first; what is in use stays. Only files named by the cache count, and only
/// those are removed.
///
/// ```
/// # use reefguide_storage::{InputCache, Storage, StorageError, StorageUri};
/// # async fn read(storage: &Storage, uri: &StorageUri) -> Result<(), Box<dyn std::error::Error>> {
/// let cache = InputCache::new("/var/cache/worker/inputs", 10 << 30);
/// let raster = cache.fetch(storage, uri, &std::env::temp_dir()).await?;
/// let bytes = std::fs::read(raster.path())?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct InputCache {
    entries: Arc<Entries>,
    told_of_size: Arc<AtomicBool>,
}

impl InputCache {
    /// A cache in `folder`, which is made when it is needed, of at most `limit` bytes.
    pub fn new(folder: impl Into<PathBuf>, limit: u64) -> Self {
        let folder = folder.into();
        // Programs that handlers run have folders of their own.
        let folder = std::path::absolute(&folder).unwrap_or(folder);
        Self {
            entries: Arc::new(Entries::new(folder, limit)),
            told_of_size: Arc::default(),
        }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.entries.folder()
    }

    /// How many bytes it has at most.
    pub fn limit(&self) -> u64 {
        self.entries.limit()
    }

    /// Makes sure that it can be used, and removes what processes that were killed have left and what is
    /// beyond the limit.
    ///
    /// # Errors
    /// [`StorageError::Local`] when files cannot be written or locked in the folder.
    pub async fn prepare(&self) -> Result<(), StorageError> {
        let entries = self.entries.clone();
        blocking(move || entries.prepare()).await
    }

    /// The newest version of an object, as a file that stays for as long as the value returned does.
    ///
    /// The store is asked each time which version is the newest. An object without an ETag, one that is
    /// larger than the cache, and one for which those in use leave no room, is downloaded into the folder
    /// `scratch` for this call alone.
    ///
    /// Cancel safe: of several who wait for one object, another goes on.
    pub async fn fetch(
        &self,
        storage: &Storage,
        uri: &StorageUri,
        scratch: &Path,
    ) -> Result<InputFile, StorageError> {
        let mut made_room = false;
        for _ in 0..VERSIONS {
            let object = storage.info(uri).await?;
            let Some(version) = self.version(&object) else {
                break;
            };
            let unfinished = match self.look(&version).await? {
                Found::Entry(file) => return Ok(self.entries.input(&version, file)),
                Found::NoRoom => break,
                Found::Place(unfinished) => unfinished,
            };
            tracing::debug!(%uri, "input is not in the cache");
            match self.fill(storage, &object, &version, unfinished).await {
                Ok(Some(file)) => return Ok(self.entries.input(&version, file)),
                // Replaced since it was asked for: the next look is for the new one.
                Ok(None) => {}
                Err(error) if is_full(&error) && !made_room => {
                    made_room = true;
                    tracing::warn!(%uri, "no space left on disk, making room in the cache");
                    self.free(version.size()).await?;
                }
                Err(error) => return Err(error),
            }
        }
        InputFile::download(storage, uri, scratch).await
    }

    /// The version to look for; `None` if it is not to be kept.
    fn version(&self, object: &ObjectInfo) -> Option<Version> {
        let version = Version::new(object)?;
        if version.size() <= self.limit() {
            return Some(version);
        }
        if !self.told_of_size.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                uri = %object.uri,
                bytes = object.size,
                limit_bytes = self.limit(),
                "input is larger than the cache: it is downloaded for each attempt"
            );
        }
        None
    }

    async fn look(&self, version: &Version) -> Result<Found, StorageError> {
        let version = version.clone();
        self.repeat(move |entries| entries.look(&version)).await
    }

    /// Downloads an object to the place made for it; `None` if it was replaced meanwhile.
    async fn fill(
        &self,
        storage: &Storage,
        object: &ObjectInfo,
        version: &Version,
        unfinished: Unfinished,
    ) -> Result<Option<std::fs::File>, StorageError> {
        let _open = open_files::transfer().await;
        let progress = storage.downloading();
        let _under_way = progress.begin();
        let written = storage.backend.get(
            &object.uri,
            Destination::Existing(unfinished.path().to_owned()),
            &progress,
        );
        if written.await? != *object {
            return Ok(None);
        }
        progress.done();
        let (version, unfinished) = (version.clone(), Arc::new(unfinished));
        self.repeat(move |entries| entries.commit(&version, &unfinished))
            .await
    }

    async fn free(&self, bytes: u64) -> Result<(), StorageError> {
        self.repeat(move |entries| entries.free(bytes)).await
    }

    /// Does something with the folder until it is not kept from it by others.
    async fn repeat<T: Send + 'static>(
        &self,
        step: impl Fn(&Entries) -> Result<Option<T>, StorageError> + Send + Sync + 'static,
    ) -> Result<T, StorageError> {
        let mut delays = LOOKS.delays();
        let step = Arc::new(step);
        loop {
            let (entries, step) = (self.entries.clone(), step.clone());
            if let Some(done) = blocking(move || step(&entries)).await? {
                return Ok(done);
            }
            tokio::time::sleep(delays.next().unwrap_or_default()).await;
        }
    }
}

fn is_full(error: &StorageError) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    let StorageError::Local(FileSystemError { source, .. }) = error else {
        return false;
    };
    matches!(source.kind(), StorageFull | QuotaExceeded)
}
