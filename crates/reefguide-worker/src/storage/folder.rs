//! A local folder as a store.

use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use tokio::fs;
use tokio::io::AsyncWriteExt;

use super::backend::Backend;
use super::content::Content;
use super::landing::{Landing, UNFINISHED};
use super::walk::walk;
use super::{Action, ObjectInfo, ObjectPath, StorageError, StorageUri};

/// How much is copied at a time, in bytes.
const PIECE: u64 = 1 << 20;
/// How many objects a page of a listing has.
const PAGE: usize = 1000;

/// A folder that holds the object `s3://bucket/key` in the file `bucket/key`, and `file:///key` in
/// `key`.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
}

impl Folder {
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

    async fn open(
        &self,
        action: Action,
        uri: &StorageUri,
    ) -> Result<(fs::File, ObjectInfo), StorageError> {
        let info = self.inspect(action, uri).await?;
        let place = self.place(uri);
        let file = fs::File::open(&place)
            .await
            .map_err(StorageError::local("read", place))?;
        Ok((file, info))
    }

    async fn inspect(&self, action: Action, uri: &StorageUri) -> Result<ObjectInfo, StorageError> {
        let place = self.place(uri);
        match fs::metadata(&place).await {
            Ok(found) if found.is_file() => Ok(ObjectInfo {
                uri: uri.clone(),
                size: found.len(),
                etag: None,
            }),
            Err(error) if !absent(&error) => Err(StorageError::local("inspect", place)(error)),
            _ => Err(StorageError::NoSuchObject {
                action,
                uri: uri.clone(),
            }),
        }
    }
}

/// Whether there is nothing of that name: also when what should be a folder is a file.
fn absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

#[async_trait]
impl Backend for Folder {
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

    async fn put(&self, to: &StorageUri, mut content: Content) -> Result<ObjectInfo, StorageError> {
        let place = self.place(to);
        let landing = Landing::new(&self.root, &place).await?;
        let refused = |error| StorageError::local("write", &place)(error);
        let mut file = fs::File::create(landing.path()).await.map_err(refused)?;
        while content.left() > 0 {
            let piece = content.next(PIECE).await?;
            file.write_all(&piece).await.map_err(refused)?;
        }
        file.flush().await.map_err(refused)?;
        landing.land()?;
        Ok(ObjectInfo {
            uri: to.clone(),
            size: content.size(),
            etag: None,
        })
    }

    async fn get(&self, from: &StorageUri, to: &Path) -> Result<u64, StorageError> {
        let (mut source, _) = self.open(Action::Read, from).await?;
        let refused = |error| StorageError::local("write", to)(error);
        let mut target = fs::File::create(to).await.map_err(refused)?;
        let size = tokio::io::copy(&mut source, &mut target)
            .await
            .map_err(refused)?;
        target.flush().await.map_err(refused)?;
        Ok(size)
    }

    async fn read(&self, from: &StorageUri, limit: u64) -> Result<Bytes, StorageError> {
        let info = self.inspect(Action::Read, from).await?;
        info.within(limit)?;
        let place = self.place(from);
        let bytes = fs::read(&place)
            .await
            .map_err(StorageError::local("read", place))?;
        Ok(bytes.into())
    }

    /// All are found before the first is given, for a folder has no order.
    fn list(
        &self,
        folder: &StorageUri,
    ) -> BoxStream<'static, Result<Vec<ObjectInfo>, StorageError>> {
        let place = self.place(folder);
        let folder = folder.clone();
        let all = async move {
            if !fs::try_exists(&place).await.unwrap_or(true) {
                return Ok(Vec::new());
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
            found
                .into_iter()
                .map(|file| {
                    Ok(ObjectInfo {
                        uri: folder.object(&file.path)?,
                        size: file.size,
                        etag: None,
                    })
                })
                .collect()
        };
        stream::once(all)
            .flat_map(|all: Result<Vec<ObjectInfo>, StorageError>| {
                let pages = match all {
                    Ok(all) => all.chunks(PAGE).map(|page| Ok(page.to_vec())).collect(),
                    Err(error) => vec![Err(error)],
                };
                stream::iter(pages)
            })
            .boxed()
    }

    async fn info(&self, uri: &StorageUri) -> Result<ObjectInfo, StorageError> {
        self.inspect(Action::Inspect, uri).await
    }

    async fn delete(&self, uri: &StorageUri) -> Result<(), StorageError> {
        let place = self.place(uri);
        match fs::remove_file(&place).await {
            Err(error) if !absent(&error) => Err(StorageError::local("delete", place)(error)),
            _ => Ok(()),
        }
    }

    /// A bucket is a folder that is made when it is needed; so the question is whether it can be.
    async fn probe(&self, bucket: &StorageUri) -> Result<(), StorageError> {
        let place = self.place(bucket);
        fs::create_dir_all(&place)
            .await
            .map_err(StorageError::local("make folder", place))
    }
}
