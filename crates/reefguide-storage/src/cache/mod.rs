//! Inputs that stay on disk from one job to the next.
//!
//! A file in the cache is one version of one object, identified by its URI and ETag, and never changes.
//! Tasks, processes and machines coordinate through file locks, which the
//! system releases when a process ends, even if it is killed.

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

/// How often to check whether another process has finished, since it may be on another machine and cannot notify.
const POLLS: RetryPolicy = RetryPolicy::new(Duration::from_millis(20))
    .cap(Duration::from_millis(500))
    .unlimited();
/// How many versions to try of an object that is replaced again and again.
const VERSIONS: usize = 3;

/// A folder of inputs. Each is downloaded once for all tasks, processes, and machines that
/// share the folder on a file system with locks, such as EFS. A clone is the same cache.
///
/// It has at most `limit` bytes, including downloads under way. To make room, it removes the least recently used
/// files that are not in use. It counts and removes only files that it has named itself.
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
    warned_of_size: Arc<AtomicBool>,
}

impl InputCache {
    /// A cache of at most `limit` bytes in `folder`, which is created when it is needed.
    pub fn new(folder: impl Into<PathBuf>, limit: u64) -> Self {
        let folder = folder.into();
        // Programs that handlers run have other working directories.
        let folder = std::path::absolute(&folder).unwrap_or(folder);
        Self {
            entries: Arc::new(Entries::new(folder, limit)),
            warned_of_size: Arc::default(),
        }
    }

    /// The folder of the cache.
    pub fn folder(&self) -> &Path {
        self.entries.folder()
    }

    /// The maximum size of the cache, in bytes.
    pub fn limit(&self) -> u64 {
        self.entries.limit()
    }

    /// Checks that the folder can be used, and removes unfinished downloads of killed processes and files beyond the
    /// limit.
    ///
    /// # Errors
    /// [`StorageError::Local`] when files cannot be written or locked in the folder.
    pub async fn prepare(&self) -> Result<(), StorageError> {
        let entries = self.entries.clone();
        blocking(move || entries.prepare()).await
    }

    /// The newest version of an object, as a file that exists as long as the returned value.
    ///
    /// Each call asks the store which version is the newest. An object without an ETag, one that is
    /// larger than the cache, and one for which the files in use leave no room are downloaded to the folder
    /// `scratch` for this call only.
    ///
    /// # Cancel safety
    /// If several calls wait for one object and the one that downloads it is dropped, another one downloads it.
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
                // The object was replaced: look for its new version.
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

    /// The version to look for; `None` if it cannot be cached.
    fn version(&self, object: &ObjectInfo) -> Option<Version> {
        let version = Version::new(object)?;
        if version.size() <= self.limit() {
            return Some(version);
        }
        if !self.warned_of_size.swap(true, Ordering::Relaxed) {
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

    /// Downloads an object to its file in the cache; `None` if the object was replaced during the download.
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

    /// Repeats a step until no other process blocks it.
    async fn repeat<T: Send + 'static>(
        &self,
        step: impl Fn(&Entries) -> Result<Option<T>, StorageError> + Send + Sync + 'static,
    ) -> Result<T, StorageError> {
        let mut delays = POLLS.delays();
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
