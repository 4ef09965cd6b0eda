//! Downloads to a disk without room for them.

use std::future::Future;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use reefguide_storage::{Storage, StorageError, StorageUri, TransferProgress};
use reefguide_transport::atomic_file::FileSystemError;
use tokio::time::timeout;

use crate::content::content;
use crate::fixture::{Fixture, LARGE, PATIENCE};
use crate::small_disk;

/// The size of the disk.
const SIZE: usize = 8 << 20;
/// The room that the file system itself may need.
const PAGES: usize = 100_000;
/// The room that the small objects leave.
const LEFT: usize = SIZE - SMALL[0].1 - SMALL[1].1 - PAGES;
/// The folder with a file system of that size, the endpoint and the bucket, one per line.
const GIVEN: &str = "STORAGE_FAULTS_SMALL";
/// Objects that are read in different ways: one that is held in memory as a whole, and one that is not.
const SMALL: [(&str, usize); 2] = [("a", 200_000), ("b", 3_000_000)];
/// More objects than there is room for.
const MANY: usize = 50;
/// Often enough to use up all permits and memory if each failure leaked some.
const AGAIN: usize = 40;

/// A store, and the folder to download to.
struct Disk {
    storage: Storage,
    bucket: String,
    folder: PathBuf,
}

impl Disk {
    fn from(&self, key: &str) -> StorageUri {
        format!("s3://{}/{key}", self.bucket).parse().unwrap()
    }

    async fn fetch(&self, key: &str, name: &str) -> Result<(), StorageError> {
        let to = self.folder.join(name);
        in_time(self.storage.download_file(&self.from(key), &to)).await?;
        Ok(())
    }

    /// Fails to download an object over a file, which stays unchanged, and leaves no other file.
    async fn has_no_room_for(&self, key: &str, others: &[&str]) {
        let to = self.folder.join("kept");
        std::fs::write(&to, "kept").unwrap();
        let error = self.fetch(key, "kept").await.unwrap_err();
        assert_eq!(error.to_string(), format!("cannot write {}", to.display()));
        is_full(&error);
        assert_eq!(std::fs::read(&to).unwrap(), b"kept");
        let mut expected = [others, &["kept"]].concat();
        expected.sort_unstable();
        // The last thread may still be removing it.
        self.until(|| names(&self.folder) == expected).await;
        std::fs::remove_file(to).unwrap();
    }

    async fn until(&self, come: impl Fn() -> bool) {
        in_time(async {
            while !come() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Waits for the room of removed files, which becomes free when the last open handle is closed.
    async fn until_there_is_room(&self, bytes: usize) {
        let probe = self.folder.join("probe");
        self.until(|| std::fs::write(&probe, vec![0; bytes]).is_ok())
            .await;
        std::fs::remove_file(probe).unwrap();
    }
}

fn is_full(error: &StorageError) {
    let StorageError::Local(FileSystemError { source, .. }) = error else {
        panic!("{error:?}");
    };
    assert_eq!(source.kind(), ErrorKind::StorageFull);
    assert!(source.to_string().contains("No space left"), "{source}");
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    let done = timeout(PATIENCE, work).await;
    done.expect("it goes on without end")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name();
    let mut names: Vec<_> = entries
        .map(|entry| name(entry).into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Runs where the disk is small.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_on_a_small_disk() {
    let Ok(given) = std::env::var(GIVEN) else {
        return;
    };
    let given: Vec<_> = given.lines().collect();
    let [folder, endpoint, bucket] = given[..] else {
        panic!("{given:?}");
    };
    let mut disk = Disk {
        storage: Storage::s3(crate::lab_storage::options_at(endpoint)),
        bucket: bucket.into(),
        folder: folder.into(),
    };
    let whole = |name: &str, size| {
        let (read, stored) = (
            std::fs::read(disk.folder.join(name)).unwrap(),
            content(size),
        );
        let same = read.iter().zip(&stored).take_while(|(a, b)| a == b).count();
        let found = (read.len(), same);
        assert_eq!(found, (size, size), "size, and how much of it is right");
    };

    let progress = TransferProgress::default();
    let untracked = disk.storage.clone();
    disk.storage = untracked.with_progress(&progress);
    for _ in 0..AGAIN {
        disk.has_no_room_for("large", &[]).await;
        disk.until_there_is_room(SIZE - PAGES).await;
    }
    disk.storage = untracked;
    assert_eq!(progress.now().bytes, 0, "fetched although there is no room");
    for (key, size) in SMALL {
        disk.fetch(key, key).await.unwrap();
        whole(key, size);
    }

    let to = disk.folder.join("many");
    let many = disk.from("many");
    let fetching = disk.storage.download_folder(&many, &to);
    let error = in_time(fetching).await.unwrap_err();
    is_full(&error);
    let named = format!("cannot write {}/", to.display());
    assert!(error.to_string().starts_with(&named), "{error}");
    let unfinished = |name: &String| name.starts_with(".unfinished-");
    disk.until(|| !names(&to).iter().any(unfinished)).await;
    let landed = names(&to);
    assert!((1..MANY).contains(&landed.len()), "{} files", landed.len());
    for name in landed {
        whole(&format!("many/{name}"), SMALL[0].1);
    }

    std::fs::remove_dir_all(&to).unwrap();
    disk.until_there_is_room(LEFT).await;

    // Less room than a small one needs.
    let filler = disk.folder.join("filler");
    std::fs::write(&filler, vec![0; SIZE]).unwrap_err();
    let full = std::fs::metadata(&filler).unwrap().len();
    let file = std::fs::File::options().write(true).open(&filler).unwrap();
    file.set_len(full - 100_000).unwrap();
    drop(file);
    for (key, _) in SMALL {
        for _ in 0..AGAIN {
            disk.has_no_room_for(key, &["a", "b", "filler"]).await;
        }
    }
    std::fs::remove_file(filler).unwrap();
    disk.until_there_is_room(LEFT).await;
    for (key, size) in SMALL {
        disk.fetch(key, key).await.unwrap();
        whole(key, size);
    }
}

#[test]
fn a_file_without_room_on_disk_is_named_and_leaves_nothing() {
    let fixture = Fixture::new();
    fixture.put("large", &content(LARGE));
    for (key, size) in SMALL {
        fixture.put(key, &content(size));
    }
    for number in 0..MANY {
        fixture.put(&format!("many/{number}"), &content(SMALL[0].1));
    }
    let folder = fixture.local("disk");
    std::fs::create_dir(&folder).unwrap();
    let (endpoint, bucket) = (fixture.lab.s3_endpoint(), fixture.lab.bucket());
    let given = format!("{}\n{endpoint}\n{bucket}", folder.display());
    let child = "disk::child_on_a_small_disk";
    small_disk::run_with(&SIZE.to_string(), &folder, child, (GIVEN, &given));
    fixture.nothing_is_left_but(&[]);
}
