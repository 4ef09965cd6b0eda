//! A local folder as a store.

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io, iter};

use async_trait::async_trait;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};

use crate::backend::Backend;
use crate::content::ContentSource;
use crate::metadata::Metadata;
use crate::reader::ContentStream;
use crate::walk::walk;
use crate::{
    Action, ObjectInfo, ObjectPath, OutputFile, PresignedUrl, StorageClass, StorageError,
    StorageUri, TransferProgress,
};
use reefguide_transport::atomic_file::{AtomicFile, Destination, UNFINISHED};
use reefguide_transport::blocking::blocking;

/// The number of objects on a page of a listing.
const PAGE: usize = 1000;

/// A folder that holds the object `s3://bucket/key` in the file `bucket/key`, and `file:///key` in
/// `key`.
#[derive(Debug)]
pub(crate) struct LocalFolder {
    root: PathBuf,
}

impl LocalFolder {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn place(&self, uri: &StorageUri) -> PathBuf {
        let bucket = self.root.join(uri.bucket());
        match uri.key().trim_end_matches('/').parse::<ObjectPath>() {
            Ok(path) => path.below(&bucket),
            Err(_) => bucket,
        }
    }
}

/// Describes the object in a file.
fn inspect(action: Action, uri: StorageUri, place: &Path) -> Result<ObjectInfo, StorageError> {
    match fs::metadata(place) {
        Ok(found) if found.is_file() => Ok(ObjectInfo {
            uri,
            size: found.len(),
            etag: None,
        }),
        Err(error) if !absent(&error) => Err(StorageError::local("inspect", place)(error)),
        _ => Err(StorageError::NoSuchObject {
            action,
            uri,
            tried: None,
        }),
    }
}

/// Whether there is no such file, even because one of its folders is a file.
fn absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// The objects in files of `folder`, a page at a time.
fn pages(
    folder: StorageUri,
    files: Vec<OutputFile>,
) -> impl Iterator<Item = Result<Vec<ObjectInfo>, StorageError>> {
    let mut files = files.into_iter();
    iter::from_fn(move || {
        let page: Vec<_> = files.by_ref().take(PAGE).collect();
        let object = |file: OutputFile| {
            Ok(ObjectInfo {
                uri: folder.object(&file.path)?,
                size: file.size,
                etag: None,
            })
        };
        (!page.is_empty()).then(|| page.into_iter().map(object).collect())
    })
}

#[async_trait]
impl Backend for LocalFolder {
    fn accept(&self, action: Action, uri: &StorageUri) -> Result<(), StorageError> {
        let folder = action == Action::List;
        let key = match uri.key() {
            "" if folder => return Ok(()),
            key if folder => key.strip_suffix('/').unwrap_or(key),
            key => key,
        };
        if key.parse::<ObjectPath>().is_err() {
            return Err(StorageError::Unsupported {
                action,
                uri: uri.clone(),
                problem: "a local folder holds keys such as `a/b.json` only, with no empty, `.` or `..` part",
            });
        }
        Ok(())
    }

    async fn put(
        &self,
        to: &StorageUri,
        content: ContentSource,
        _: &Metadata,
        progress: &TransferProgress,
    ) -> Result<ObjectInfo, StorageError> {
        let (root, place, uri) = (self.root.clone(), self.place(to), to.clone());
        let progress = progress.clone();
        blocking(move || {
            let content = content.open()?;
            progress.found(content.size());
            let file = AtomicFile::new(&root, &place)?;
            let written = content.write(file.file());
            let size = written.map_err(StorageError::local("write", file.target()))?;
            content.unchanged()?;
            file.commit()?;
            progress.moved(size);
            Ok(ObjectInfo {
                uri,
                size,
                etag: None,
            })
        })
        .await
    }

    async fn get(
        &self,
        from: &StorageUri,
        to: Destination,
        progress: &TransferProgress,
    ) -> Result<ObjectInfo, StorageError> {
        let (place, uri) = (self.place(from), from.clone());
        let progress = progress.clone();
        blocking(move || {
            let found = inspect(Action::Read, uri, &place)?;
            progress.found(found.size);
            let file = AtomicFile::at(to)?;
            let written = ContentSource::File(place).open()?.write(file.file());
            let size = written.map_err(StorageError::local("write", file.target()))?;
            file.commit()?;
            progress.moved(size);
            Ok(ObjectInfo { size, ..found })
        })
        .await
    }

    async fn open(&self, from: &StorageUri) -> Result<(ObjectInfo, ContentStream), StorageError> {
        let (place, uri) = (self.place(from), from.clone());
        blocking(move || {
            let found = inspect(Action::Read, uri, &place)?;
            let content = ContentSource::File(place).open()?;
            let size = content.size();
            Ok((ObjectInfo { size, ..found }, content.stream()))
        })
        .await
    }

    /// Finds all objects before it returns the first page, since folders are not sorted.
    fn list(
        &self,
        folder: &StorageUri,
    ) -> BoxStream<'static, Result<Vec<ObjectInfo>, StorageError>> {
        let place = self.place(folder);
        let folder = folder.clone();
        let all = async move {
            if !place.exists() {
                return Ok::<_, StorageError>(stream::iter(pages(folder, Vec::new())));
            }
            let mut found: Vec<_> = walk(&place)
                .try_filter(|file| {
                    let unfinished = folder.key().is_empty()
                        && folder.bucket().is_empty()
                        && file.path.as_str().starts_with(UNFINISHED);
                    std::future::ready(!unfinished)
                })
                .try_collect()
                .await?;
            found.sort_unstable();
            Ok(stream::iter(pages(folder, found)))
        };
        stream::once(all).try_flatten().boxed()
    }

    async fn info(&self, uri: &StorageUri) -> Result<ObjectInfo, StorageError> {
        let (place, uri) = (self.place(uri), uri.clone());
        blocking(move || inspect(Action::Inspect, uri, &place)).await
    }

    async fn delete(&self, uri: &StorageUri) -> Result<(), StorageError> {
        let place = self.place(uri);
        blocking(move || match fs::remove_file(&place) {
            Err(error) if !absent(&error) => Err(StorageError::local("delete", place)(error)),
            _ => Ok(()),
        })
        .await
    }

    async fn presign(
        &self,
        action: Action,
        uri: &StorageUri,
        _: Duration,
        _: Option<StorageClass>,
    ) -> Result<PresignedUrl, StorageError> {
        Err(StorageError::Unsupported {
            action,
            uri: uri.clone(),
            problem: "a local folder has no server to sign a URL for: use an S3 server",
        })
    }

    /// A bucket is a folder that is created when it is needed, so this checks that it can be created.
    async fn probe(&self, bucket: &StorageUri) -> Result<(), StorageError> {
        let place = self.place(bucket);
        blocking(move || {
            fs::create_dir_all(&place).map_err(StorageError::local("make folder", place))
        })
        .await
    }
}
