//! A lab, a storage on its own runtime, and what must hold after each test.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use reefguide_lab::{Fault, Lab, Outputs};
use reefguide_storage::{S3Options, Storage, StorageUri};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::lab_storage::options;

/// More than one request transfers, and not a multiple of the size of a part.
pub(crate) const LARGE: usize = (17 << 20) + 12_345;
/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How long one try of a request may take.
pub(crate) const TRY: Duration = Duration::from_millis(1500);
/// Longer than a try may take. Only after this time does the lab notice that the sender of a body has hung up.
pub(crate) const LATE: Duration = Duration::from_secs(3);

pub(crate) struct Fixture {
    pub(crate) lab: Lab,
    pub(crate) storage: Option<Storage>,
    /// The key that `storage` signs with.
    pub(crate) secret_key: SecretString,
    /// Where `storage` works, so that tasks it leaves behind can be counted.
    work: Runtime,
    labs: Runtime,
    local: TempDir,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut S3Options)) -> Self {
        let runtime = || {
            let mut builder = Builder::new_multi_thread();
            builder.worker_threads(2).enable_all().build().unwrap()
        };
        let (labs, work) = (runtime(), runtime());
        let lab = labs.block_on(Lab::builder().start()).unwrap();
        let mut options = options(&lab);
        options.try_timeout = TRY;
        change(&mut options);
        let secret_key = options.credentials.clone().unwrap().secret_key;
        let storage = Storage::s3(options);
        Self {
            lab,
            storage: Some(storage),
            secret_key,
            work,
            labs,
            local: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn storage(&self) -> Storage {
        self.storage.clone().unwrap()
    }

    pub(crate) fn uri(&self, key: &str) -> StorageUri {
        format!("s3://{}/{key}", self.lab.bucket()).parse().unwrap()
    }

    /// A file or folder of this test. Unfinished files would be next to it.
    pub(crate) fn local(&self, name: &str) -> PathBuf {
        self.local.path().join(name)
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.lab.faults().add(fault);
    }

    /// Runs `work`, which must end in time.
    pub(crate) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.work
            .block_on(async { timeout(PATIENCE, work).await })
            .expect("it goes on without end")
    }

    /// Drops `work` as soon as `moment` is true. Returns whether it was still under way.
    pub(crate) fn cancel(&self, work: impl Future, moment: impl Fn(&Lab) -> bool) -> bool {
        self.run(async {
            let come = async {
                while !moment(&self.lab) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::select! {
                biased;
                () = come => true,
                _ = work => false,
            }
        })
    }

    pub(crate) fn put(&self, key: &str, content: &[u8]) {
        let uri = self.uri(key);
        self.run(async {
            let content = content.to_vec();
            self.storage().upload_bytes(content, &uri).await.unwrap();
        });
    }

    /// The content of the object `key`, if there is one.
    pub(crate) fn stored(&self, key: &str) -> Option<Vec<u8>> {
        let uri = self.uri(key);
        self.run(async {
            let storage = self.storage();
            let keys = storage.list(&self.uri("")).await.unwrap();
            if !keys.iter().any(|object| object.uri == uri) {
                return None;
            }
            Some(storage.read(&uri, u64::MAX).await.unwrap().to_vec())
        })
    }

    /// Drops the storage and waits until nothing of it is left: no task, no connection, no multipart
    /// upload, and below `local` only the named files.
    pub(crate) fn nothing_is_left_but(self, files: &[&str]) {
        self.nothing_is_left_in(|| files.iter().map(ToString::to_string).collect());
    }

    /// Like [`nothing_is_left_but`](Self::nothing_is_left_but), with files that are named after everything has ended.
    pub(crate) fn nothing_is_left_in(mut self, files: impl FnOnce() -> Vec<String>) {
        self.lab.faults().clear();
        drop(self.storage.take());
        let left = || {
            let open = self.lab.audit(|_| Outputs::new()).unwrap();
            let open = open.iter().map(ToString::to_string);
            let open = open.filter(|what| what.contains("still open"));
            let tasks = self.work.metrics().num_alive_tasks();
            let connections = self.lab.connections();
            (tasks, connections, open.collect::<Vec<_>>())
        };
        let since = Instant::now();
        while left() != (0, 0, Vec::new()) && since.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(left(), (0, 0, Vec::new()), "tasks, connections, uploads");
        // Blocking tasks cannot be stopped.
        self.work.shutdown_timeout(PATIENCE);
        let local = self.local.path();
        let mut found = Vec::new();
        walk(local, &mut found);
        let expected: Vec<_> = files().iter().map(|name| local.join(name)).collect();
        found.sort();
        assert_eq!(found, expected, "files");
        self.labs.block_on(self.lab.shutdown());
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else {
            found.push(path);
        }
    }
}
