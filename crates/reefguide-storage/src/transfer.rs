//! Transfers of folders, several files at a time.

use std::future::{Future, ready};
use std::path::{Path, PathBuf};
use std::pin::pin;

use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use crate::walk::{self, OutputFile};
use crate::{Action, ObjectInfo, ObjectPath, Storage, StorageError, StorageUri};
use reefguide_transport::atomic_file::Destination;
use reefguide_transport::blocking::{blocking, finished};
use reefguide_transport::open_files;

/// How many files of a folder are transferred at once. The backend may have a lower limit.
fn files_at_once() -> usize {
    open_files::at_once(open_files::MANY)
}

/// The result of transferring a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FolderTransfer {
    /// The number of files.
    pub files: u64,
    /// Their total size in bytes.
    pub bytes: u64,
}

impl FolderTransfer {
    fn add(&mut self, size: u64) {
        self.files += 1;
        self.bytes += size;
    }

    async fn sum(
        sizes: impl Stream<Item = Result<u64, StorageError>> + Send,
    ) -> Result<Self, StorageError> {
        let add = |mut sum: Self, size| async move {
            sum.add(size);
            Ok(sum)
        };
        sizes.try_fold(Self::default(), add).await
    }
}

/// An error unless every file below `from` has a valid key below `to`.
pub(crate) async fn check_keys(from: &Path, to: &StorageUri) -> Result<(), StorageError> {
    let (from, to) = (from.to_owned(), to.clone());
    blocking(move || walk::descend(&from, |path, _| to.object(&path).map(|_| true))).await
}

/// Uploads `files`, which are below `from`, to the same paths below `to`, and calls `stored` for each of them.
/// After a failure it starts no further upload and waits for those under way, so that nothing is
/// stored after it has returned.
pub(crate) async fn upload(
    storage: &Storage,
    from: &Path,
    files: impl Stream<Item = Result<OutputFile, StorageError>> + Send,
    to: &StorageUri,
    mut stored: impl FnMut(ObjectInfo) + Send,
) -> Result<FolderTransfer, StorageError> {
    let failed = CancellationToken::new();
    let uploads = files
        .take_until(failed.clone().cancelled_owned())
        .map(|file| {
            let work = file.and_then(|OutputFile { path, .. }| {
                Ok(upload_one(
                    storage.clone(),
                    path.below(from),
                    to.object(&path)?,
                ))
            });
            async move { on_task(work?).await }
        })
        .buffer_unordered(files_at_once());
    let mut uploads = pin!(uploads);
    let mut done = Ok(FolderTransfer::default());
    while let Some(upload) = uploads.next().await {
        match (&mut done, upload) {
            (Ok(done), Ok(object)) => {
                done.add(object.size);
                stored(object);
            }
            (Ok(_), Err(error)) => {
                done = Err(error);
                failed.cancel();
            }
            (Err(_), _) => {}
        }
    }
    done
}

async fn upload_one(
    storage: Storage,
    from: PathBuf,
    to: StorageUri,
) -> Result<ObjectInfo, StorageError> {
    storage.upload_file(&from, &to).await
}

/// Downloads every object below `from` to the same path below `to`. The first failure stops the
/// others.
pub(crate) async fn download(
    storage: &Storage,
    from: &StorageUri,
    to: &Path,
) -> Result<FolderTransfer, StorageError> {
    let prefix = from.folder_prefix();
    let to = &std::path::absolute(to).map_err(StorageError::local("find", to))?;
    let sizes = storage
        .pages(from)?
        .into_stream()
        .map_ok(|page| stream::iter(page).map(Ok))
        .try_flatten()
        // Some tools mark a folder with an empty object of its name.
        .try_filter(|object| ready(object.size > 0 || !object.uri.key().ends_with('/')))
        .map(|object: Result<_, StorageError>| {
            let uri = object?.uri;
            let path = path_below(&prefix, &uri)?;
            let to = Destination::Below(to.to_owned(), path);
            Ok(on_task(download_one(storage.clone(), uri, to)))
        })
        .try_buffer_unordered(files_at_once());
    FolderTransfer::sum(sizes).await
}

/// Deletes every object below `folder`. The first failure stops the others.
pub(crate) async fn delete(storage: &Storage, folder: &StorageUri) -> Result<u64, StorageError> {
    storage
        .pages(folder)?
        .into_stream()
        .map_ok(|page| stream::iter(page).map(Ok))
        .try_flatten()
        .map_ok(|object| {
            let storage = storage.clone();
            async move { storage.delete(&object.uri).await }
        })
        .try_buffer_unordered(files_at_once())
        .try_fold(0, |deleted, ()| async move { Ok(deleted + 1) })
        .await
}

fn path_below(prefix: &str, uri: &StorageUri) -> Result<ObjectPath, StorageError> {
    let relative = uri.key().strip_prefix(prefix).unwrap_or(uri.key());
    relative.parse().map_err(|_| StorageError::Unsupported {
        action: Action::Read,
        uri: uri.clone(),
        problem: "its key is not a path below the folder to download to: read it by itself",
    })
}

async fn download_one(
    storage: Storage,
    from: StorageUri,
    to: Destination,
) -> Result<u64, StorageError> {
    Ok(storage.get(&from, to).await?.size)
}

/// Runs `work` on its own task, so that several use several cores. Dropping this future ends the task.
pub(crate) async fn on_task<T: Send + 'static>(
    work: impl Future<Output = Result<T, StorageError>> + Send + 'static,
) -> Result<T, StorageError> {
    let task = tokio::spawn(work.in_current_span());
    finished(AbortOnDropHandle::new(task)).await
}
