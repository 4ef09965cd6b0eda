//! Processes that share a cache.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use reefguide_lab::{Fault, Route};
use reefguide_storage::{InputCache, Storage, StorageError, StorageUri};

use crate::fixture::{Fixture, SIZE, in_time, is_all, names};
use crate::small_disk;

/// What a process fetches, and where.
const CHILD: &str = "STORAGE_CACHE_CHILD";

/// A process that fetches an input and keeps it until its stdin is closed.
struct Process {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Process {
    fn fetching(fixture: &Fixture, uri: &StorageUri) -> Self {
        let folders =
            [&fixture.folder, &fixture.scratch].map(|folder| folder.path().to_str().unwrap());
        let given = [
            fixture.lab.s3_endpoint(),
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

fn storage(endpoint: &str) -> Storage {
    Storage::s3(crate::lab_storage::options_at(endpoint))
}

/// Runs in the other process.
#[tokio::test]
async fn child() {
    let Ok(given) = std::env::var(CHILD) else {
        return;
    };
    let given: Vec<_> = given.lines().collect();
    let [endpoint, uri, folder, scratch] = given[..] else {
        panic!("{given:?}");
    };
    let storage = storage(endpoint);
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
    let fixture = Fixture::new().await;
    let uri = fixture.put("depth.tif", b'a').await;
    let slow = Fault::slow_body(Route::S3Get, Duration::from_millis(500));
    fixture.lab.faults().add(slow);
    let processes = [(); 4].map(|()| Process::fetching(&fixture, &uri));
    for process in processes {
        process.has_fetched().await.end().await;
    }
    assert_eq!(fixture.asked(Route::S3Head), 4);
    assert_eq!(fixture.asked(Route::S3Get), 1);
}

#[tokio::test]
async fn an_entry_that_another_process_uses_is_kept_until_that_process_ends() {
    let fixture = Fixture::new().await;
    let uri = fixture.put("a", b'a').await;
    let process = Process::fetching(&fixture, &uri).has_fetched().await;
    let cache = fixture.cache(1);
    let other = fixture.put("b", b'b').await;
    let elsewhere = fixture.fetch(&cache, &other).await.unwrap();
    assert_eq!(elsewhere.path().parent(), Some(fixture.scratch.path()));
    assert_eq!(fixture.entries(), ["a".to_owned()].into());
    process.kill();
    drop(fixture.fetch(&cache, &other).await.unwrap());
    assert_eq!(fixture.entries(), ["b".to_owned()].into());
}

#[tokio::test]
async fn a_process_killed_during_a_download_leaves_nothing_that_counts_as_an_input() {
    let fixture = Fixture::new().await;
    let uri = fixture.put("depth.tif", b'a').await;
    let stuck = Fault::slow_body(Route::S3Get, Duration::from_secs(600));
    fixture.lab.faults().add(stuck.times(1));
    let process = Process::fetching(&fixture, &uri);
    fixture.until_asked(Route::S3Get, 1).await;
    assert_eq!(
        (fixture.entries().len(), fixture.unfinished().len()),
        (0, 1)
    );
    let waiting = fixture.fetching(&fixture.cache(1), &uri);
    fixture.until_asked(Route::S3Head, 2).await;
    process.kill();
    assert!(is_all(&waiting.await.unwrap().unwrap(), b'a'));
    assert_eq!(fixture.unfinished(), [""; 0]);
    assert_eq!(fixture.entries(), ["depth.tif".to_owned()].into());
}

#[tokio::test]
async fn prepare_removes_downloads_of_killed_processes_and_keeps_those_under_way() {
    let fixture = Fixture::new().await;
    let [left, under_way] = [
        fixture.put("left", b'a').await,
        fixture.put("under_way", b'a').await,
    ];
    let stuck = Fault::slow_body(Route::S3Get, Duration::from_secs(600));
    fixture.lab.faults().add(stuck.times(2));
    let process = Process::fetching(&fixture, &left);
    fixture.until_asked(Route::S3Get, 1).await;
    let fetching = fixture.fetching(&fixture.cache(2), &under_way);
    fixture.until_asked(Route::S3Get, 2).await;
    process.kill();
    assert_eq!(fixture.unfinished().len(), 2);
    fixture.cache(2).prepare().await.unwrap();
    assert_eq!(fixture.unfinished().len(), 1);
    fetching.abort();
    let _ = fetching.await;
    in_time(async {
        // The last thread may still be removing it.
        while !fixture.unfinished().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(names(fixture.scratch.path()), [""; 0]);
}

/// The endpoint, and the folder on which a small file system is mounted.
const SMALL: &str = "STORAGE_CACHE_SMALL";

/// Runs where the disk has room for two and a half objects.
#[tokio::test]
async fn child_on_a_small_disk() {
    let Ok(given) = std::env::var(SMALL) else {
        return;
    };
    let (endpoint, folder) = given.split_once(' ').unwrap();
    let storage = storage(endpoint);
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
async fn a_full_disk_makes_room_once_and_is_then_an_error() {
    let fixture = Fixture::new().await;
    for key in ["a", "b", "c", "d"] {
        fixture.put(key, key.as_bytes()[0]).await;
    }
    let folder = fixture.folder.path();
    let given = format!("{} {}", fixture.lab.s3_endpoint(), folder.display());
    let run = || {
        let test = "processes::child_on_a_small_disk";
        small_disk::run_with("250k", folder, test, (SMALL, &given))
    };
    if !tokio::task::block_in_place(run) {
        return;
    }
    // Two downloads, the third object twice, the last one twice.
    assert_eq!(fixture.asked(Route::S3Get), 6);
}
