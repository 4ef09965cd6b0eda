//! Processes that share a cache.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use reefguide_lab::{Fault, Route};
use reefguide_storage::{InputCache, Storage, StorageError, StorageUri};

use crate::rig::{Rig, SIZE, in_time, is_all, names};
use crate::small_disk;

/// What a process is to fetch, and with what.
const CHILD: &str = "STORAGE_CACHE_CHILD";

/// A process that fetches an input and keeps it until its stdin ends.
struct Process {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Process {
    fn fetching(rig: &Rig, uri: &StorageUri) -> Self {
        let folders = [&rig.folder, &rig.scratch].map(|folder| folder.path().to_str().unwrap());
        let given = [
            rig.lab.s3_endpoint(),
            &uri.to_string(),
            folders[0],
            folders[1],
        ]
        .join("\n");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "processes::child", "--nocapture"])
            .env(CHILD, given)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Self { child, said }
    }

    /// Waits until it has its input.
    async fn has_fetched(mut self) -> Self {
        let reading = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            while !line.contains("fetched") {
                line.clear();
                assert_ne!(self.said.read_line(&mut line).unwrap(), 0, "ended without");
            }
            self
        });
        in_time(reading).await.unwrap()
    }

    async fn end(mut self) {
        drop(self.child.stdin.take());
        let waiting = tokio::task::spawn_blocking(move || self.child.wait());
        assert!(in_time(waiting).await.unwrap().unwrap().success());
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

async fn storage(endpoint: &str) -> Storage {
    Storage::s3(crate::lab_storage::options_at(endpoint)).await
}

/// What runs in the other process.
#[tokio::test]
async fn child() {
    let Ok(given) = std::env::var(CHILD) else {
        return;
    };
    let given: Vec<_> = given.lines().collect();
    let [endpoint, uri, folder, scratch] = given[..] else {
        panic!("{given:?}");
    };
    let storage = storage(endpoint).await;
    let cache = InputCache::new(folder, 2 * SIZE);
    let uri = uri.parse().unwrap();
    let fetching = cache.fetch(&storage, &uri, scratch.as_ref());
    let input = in_time(fetching).await.unwrap();
    assert!(is_all(&input, b'a'));
    println!("\nfetched");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

#[tokio::test]
async fn an_input_is_downloaded_once_for_several_processes() {
    let rig = Rig::new().await;
    let uri = rig.put("depth.tif", b'a').await;
    let slow = Fault::slow_body(Route::S3Get, Duration::from_millis(500));
    rig.lab.faults().add(slow);
    let processes = [(); 4].map(|()| Process::fetching(&rig, &uri));
    for process in processes {
        process.has_fetched().await.end().await;
    }
    assert_eq!(rig.asked(Route::S3Head), 4);
    assert_eq!(rig.asked(Route::S3Get), 1);
}

#[tokio::test]
async fn what_another_process_uses_stays_until_it_ends() {
    let rig = Rig::new().await;
    let uri = rig.put("a", b'a').await;
    let process = Process::fetching(&rig, &uri).has_fetched().await;
    let cache = rig.cache(1);
    let other = rig.put("b", b'b').await;
    let elsewhere = rig.fetch(&cache, &other).await.unwrap();
    assert_eq!(elsewhere.path().parent(), Some(rig.scratch.path()));
    assert_eq!(rig.entries(), ["a".to_owned()].into());
    process.kill();
    drop(rig.fetch(&cache, &other).await.unwrap());
    assert_eq!(rig.entries(), ["b".to_owned()].into());
}

#[tokio::test]
async fn a_process_that_is_killed_while_it_downloads_leaves_nothing_that_is_taken_for_an_input() {
    let rig = Rig::new().await;
    let uri = rig.put("depth.tif", b'a').await;
    let stuck = Fault::slow_body(Route::S3Get, Duration::from_secs(600));
    rig.lab.faults().add(stuck.times(1));
    let process = Process::fetching(&rig, &uri);
    rig.until_asked(Route::S3Get, 1).await;
    assert_eq!((rig.entries().len(), rig.unfinished().len()), (0, 1));
    let waiting = rig.fetching(&rig.cache(1), &uri);
    rig.until_asked(Route::S3Head, 2).await;
    process.kill();
    assert!(is_all(&waiting.await.unwrap().unwrap(), b'a'));
    assert_eq!(rig.unfinished(), [""; 0]);
    assert_eq!(rig.entries(), ["depth.tif".to_owned()].into());
}

#[tokio::test]
async fn what_a_killed_process_left_is_removed_at_a_start_and_what_another_downloads_is_not() {
    let rig = Rig::new().await;
    let [left, under_way] = [
        rig.put("left", b'a').await,
        rig.put("under_way", b'a').await,
    ];
    let stuck = Fault::slow_body(Route::S3Get, Duration::from_secs(600));
    rig.lab.faults().add(stuck.times(2));
    let process = Process::fetching(&rig, &left);
    rig.until_asked(Route::S3Get, 1).await;
    let fetching = rig.fetching(&rig.cache(2), &under_way);
    rig.until_asked(Route::S3Get, 2).await;
    process.kill();
    assert_eq!(rig.unfinished().len(), 2);
    rig.cache(2).prepare().await.unwrap();
    assert_eq!(rig.unfinished().len(), 1);
    fetching.abort();
    let _ = fetching.await;
    in_time(async {
        // The last of its threads may be about to remove it.
        while !rig.unfinished().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(names(rig.scratch.path()), [""; 0]);
}

/// The endpoint, and the folder that is to be a small file system.
const SMALL: &str = "STORAGE_CACHE_SMALL";

/// What runs where the disk has room for two objects and a half.
#[tokio::test]
async fn child_on_a_small_disk() {
    let Ok(given) = std::env::var(SMALL) else {
        return;
    };
    let (endpoint, folder) = given.split_once(' ').unwrap();
    let storage = storage(endpoint).await;
    let cache = InputCache::new(folder, 10 * SIZE);
    let fetch = async |key: &str| {
        let uri = format!("s3://reefguide-dev/{key}").parse().unwrap();
        in_time(cache.fetch(&storage, &uri, folder.as_ref())).await
    };
    drop(fetch("a").await.unwrap());
    let b = fetch("b").await.unwrap();
    let c = fetch("c").await.unwrap();
    assert!(is_all(&b, b'b') && is_all(&c, b'c'));
    let full = fetch("d").await.unwrap_err();
    assert!(is_full(&full), "{full:?}");
    assert!(is_all(&b, b'b') && is_all(&c, b'c'));
    assert_eq!(names(folder.as_ref()).len(), 3, "beside the lock");
}

fn is_full(error: &StorageError) -> bool {
    matches!(error, StorageError::Local(error) if error.source.kind() == ErrorKind::StorageFull)
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_room_is_made_once_and_then_it_is_an_error() {
    let rig = Rig::new().await;
    for key in ["a", "b", "c", "d"] {
        rig.put(key, key.as_bytes()[0]).await;
    }
    let folder = rig.folder.path();
    let given = format!("{} {}", rig.lab.s3_endpoint(), folder.display());
    let run = || {
        let test = "processes::child_on_a_small_disk";
        small_disk::run_with("250k", folder, test, (SMALL, &given))
    };
    if !tokio::task::block_in_place(run) {
        return;
    }
    // Two, the third twice, the last twice.
    assert_eq!(rig.asked(Route::S3Get), 6);
}
