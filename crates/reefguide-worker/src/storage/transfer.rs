//! Whole folders, several files at a time.

use std::future::Future;
use std::path::Path;

use futures_util::{Stream, StreamExt, TryStreamExt};
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::walk::OutputFile;
use super::{Action, ObjectPath, Storage, StorageError, StorageUri};

/// How many files of a folder are under way at once. The backend may bound it further.
const FILES_AT_ONCE: usize = 32;

/// What a transfer of a folder moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FolderTransfer {
    /// How many files.
    pub files: u64,
    /// Their sizes together, in bytes.
    pub bytes: u64,
}

impl FolderTransfer {
    async fn sum(
        sizes: impl Stream<Item = Result<u64, StorageError>> + Send,
    ) -> Result<Self, StorageError> {
        let add = |sum: Self, size| async move {
            Ok(Self {
                files: sum.files + 1,
                bytes: sum.bytes + size,
            })
        };
        sizes.try_fold(Self::default(), add).await
    }
}

/// Uploads `files`, which lie below `from`, to the same paths below `to`. The first failure stops
/// the others.
pub(crate) async fn upload(
    storage: &Storage,
    from: &Path,
    files: impl Stream<Item = Result<OutputFile, StorageError>> + Send,
    to: &StorageUri,
) -> Result<FolderTransfer, StorageError> {
    let sizes = files
        .map(|file| {
            let file = file?;
            let (storage, from, to) = (
                storage.clone(),
                file.path.below(from),
                to.object(&file.path)?,
            );
            Ok(on_task(async move {
                Ok(storage.upload_file(&from, &to).await?.size)
            }))
        })
        .try_buffer_unordered(FILES_AT_ONCE);
    FolderTransfer::sum(sizes).await
}

/// Downloads every object below `from` to the same path below `to`. The first failure stops the
/// others.
pub(crate) async fn download(
    storage: &Storage,
    from: &StorageUri,
    to: &Path,
) -> Result<FolderTransfer, StorageError> {
    let prefix = from.folder_prefix();
    let objects = storage
        .pages(from)?
        .into_stream()
        .map_ok(|page| futures_util::stream::iter(page.into_iter().map(Ok::<_, StorageError>)));
    let sizes = objects
        .try_flatten()
        // Some tools mark a folder by an empty object of its name.
        .try_filter(|object| {
            std::future::ready(object.size > 0 || !object.uri.key().ends_with('/'))
        })
        .and_then(|object| async {
            let key = object.uri.key();
            let relative = key.strip_prefix(&prefix).unwrap_or(key);
            let path = relative.parse::<ObjectPath>().map_err(|_| StorageError::Unsupported {
                action: Action::Read,
                uri: object.uri.clone(),
                problem: "its key is no path below the folder to download to: read it by itself",
            })?;
            let (storage, to) = (storage.clone(), path.below(to));
            Ok(on_task(async move {
                storage.download_file(&object.uri, &to).await
            }))
        })
        .try_buffer_unordered(FILES_AT_ONCE);
    FolderTransfer::sum(sizes).await
}

/// Runs `work` on a task of its own, so that several use several cores; it ends with this future.
pub(crate) async fn on_task<T: Send + 'static>(
    work: impl Future<Output = Result<T, StorageError>> + Send + 'static,
) -> Result<T, StorageError> {
    let task = tokio::spawn(work.in_current_span());
    finished(AbortOnDropHandle::new(task)).await
}

/// The outcome of a task. Its panic is ours; its end with the runtime is the end of everything.
pub(crate) async fn finished<T>(
    task: impl Future<Output = Result<Result<T, StorageError>, JoinError>>,
) -> Result<T, StorageError> {
    match task.await {
        Ok(outcome) => outcome,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}
