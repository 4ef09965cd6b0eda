//! A lab with objects, and a folder for a cache.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use reefguide_lab::{Lab, Route};
use reefguide_storage::{InputCache, InputFile, Storage, StorageError, StorageUri};
use tempfile::TempDir;

use crate::lab_storage;

/// The size of an object, unless a test sets another.
pub(crate) const SIZE: u64 = 100_000;

pub(crate) struct Fixture {
    pub(crate) lab: Lab,
    pub(crate) storage: Storage,
    pub(crate) folder: TempDir,
    pub(crate) scratch: TempDir,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let lab = Lab::builder().start().await.unwrap();
        Self {
            storage: Storage::s3(lab_storage::options(&lab)),
            lab,
            folder: tempfile::tempdir().unwrap(),
            scratch: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn uri(&self, key: &str) -> StorageUri {
        format!("s3://{}/{key}", self.lab.bucket()).parse().unwrap()
    }

    /// Stores an object of `SIZE` times this byte.
    pub(crate) async fn put(&self, key: &str, byte: u8) -> StorageUri {
        let uri = self.uri(key);
        let bytes = vec![byte; usize::try_from(SIZE).unwrap()];
        self.storage.upload_bytes(bytes, &uri).await.unwrap();
        uri
    }

    /// Another handle to the cache, with room for so many objects, as in another process.
    pub(crate) fn cache(&self, objects: u64) -> InputCache {
        InputCache::new(self.folder.path(), objects * SIZE)
    }

    pub(crate) async fn fetch(
        &self,
        cache: &InputCache,
        uri: &StorageUri,
    ) -> Result<InputFile, StorageError> {
        in_time(cache.fetch(&self.storage, uri, self.scratch.path())).await
    }

    /// Fetches on a separate task.
    pub(crate) fn fetching(
        &self,
        cache: &InputCache,
        uri: &StorageUri,
    ) -> tokio::task::JoinHandle<Result<InputFile, StorageError>> {
        let (cache, storage, uri) = (cache.clone(), self.storage.clone(), uri.clone());
        let scratch = self.scratch.path().to_owned();
        tokio::spawn(async move { in_time(cache.fetch(&storage, &uri, &scratch)).await })
    }

    /// The number of requests to a route.
    pub(crate) fn asked(&self, route: Route) -> usize {
        count(&self.lab, route)
    }

    /// Waits until there were so many requests to a route.
    pub(crate) async fn until_asked(&self, route: Route, times: usize) {
        in_time(self.lab.wait_until(|lab| count(lab, route) >= times)).await;
    }

    /// The entries in the cache, by the ends of their names.
    pub(crate) fn entries(&self) -> BTreeSet<String> {
        let names = names(self.folder.path()).into_iter();
        let entries = names.filter(|name| !name.starts_with('.'));
        entries
            .map(|name| name.split_once('-').unwrap().1.to_owned())
            .collect()
    }

    pub(crate) fn unfinished(&self) -> Vec<String> {
        let mut names = names(self.folder.path());
        names.retain(|name| name.starts_with(".unfinished-"));
        names
    }

    /// The path of the only entry whose name ends like this.
    pub(crate) fn entry(&self, end: &str) -> PathBuf {
        let mut names = names(self.folder.path());
        names.retain(|name| name.ends_with(end));
        assert_eq!(names.len(), 1, "{names:?}");
        self.folder.path().join(&names[0])
    }
}

fn count(lab: &Lab, route: Route) -> usize {
    let requests = lab.requests();
    requests.iter().filter(|asked| asked.route == route).count()
}

pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Whether the file is a complete object and nothing else.
pub(crate) fn is_all(input: &InputFile, byte: u8) -> bool {
    let bytes = std::fs::read(input).unwrap();
    bytes.len() as u64 == SIZE && bytes.iter().all(|found| *found == byte)
}

/// Limits how long a test waits.
pub(crate) async fn in_time<F: Future>(waiting: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(60), waiting)
        .await
        .expect("waited long enough")
}
