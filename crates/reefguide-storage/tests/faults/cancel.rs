//! Transfers that are dropped: while each of their requests is under way, and just as each is answered.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use reefguide_lab::{Fault, Lab, Route};
use reefguide_storage::{InputCache, Storage, StorageUri, TransferProgress};

use crate::content::content;
use crate::fixture::{Fixture, LARGE, LATE};

/// The moments at which a transfer is dropped.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// While this request waits for its answer.
    During(u64),
    /// Just as this request is answered.
    After(u64),
}

impl Moment {
    /// Of a transfer of at most `requests`.
    fn all(requests: u64) -> impl Iterator<Item = Self> {
        (0..requests).flat_map(|at| [Self::During(at), Self::After(at)])
    }

    /// Drops `transfer` at this moment.
    fn strike(self, fixture: &Fixture, transfer: impl Future) {
        let before = fixture.lab.requests().len() as u64;
        match self {
            Self::During(at) => {
                fixture.fault(Fault::delay(Route::AnyS3, LATE).after(at).times(1));
                fixture.cancel(transfer, |lab| lab.faults().fired() > 0);
            }
            Self::After(at) => {
                let answered = |lab: &Lab| lab.requests().len() as u64 > before + at;
                fixture.cancel(transfer, answered);
            }
        }
        fixture.lab.faults().clear();
    }
}

fn upload(size: usize, moment: Moment) {
    let fixture = Fixture::new();
    fixture.put("results/a", b"before");
    let (storage, to, sent) = (fixture.storage(), fixture.uri("results/a"), content(size));
    moment.strike(
        &fixture,
        async move { storage.upload_bytes(sent, &to).await },
    );
    let stored = fixture.stored("results/a").unwrap();
    let whole = stored == b"before" || stored == content(size);
    assert!(whole, "{moment:?}: {} bytes are stored", stored.len());
    fixture.nothing_is_left_but(&[]);
}

fn download<F: Future + Send>(
    inputs: &[(&str, usize)],
    moment: Moment,
    transfer: impl FnOnce(Storage, StorageUri, PathBuf) -> F,
) {
    let fixture = Fixture::new();
    for (name, size) in inputs {
        fixture.put(&format!("inputs/{name}"), &content(*size));
    }
    let to = fixture.local("received");
    std::fs::create_dir(&to).unwrap();
    let transfer = transfer(fixture.storage(), fixture.uri("inputs"), to.clone());
    moment.strike(&fixture, transfer);
    let landed = |(name, size): &(&str, usize)| {
        let received = std::fs::read(to.join(name)).ok()?;
        assert!(
            received == content(*size),
            "{moment:?}: {name} is in pieces"
        );
        Some(format!("received/{name}"))
    };
    fixture.nothing_is_left_in(|| inputs.iter().filter_map(landed).collect());
}

#[test]
fn an_upload_of_one_request_is_dropped_at_any_moment() {
    Moment::all(1).for_each(|moment| upload(100_000, moment));
}

#[test]
fn an_upload_in_parts_is_dropped_at_any_moment() {
    // Create, three parts, complete.
    Moment::all(5).for_each(|moment| upload(LARGE, moment));
}

#[test]
fn a_download_of_one_request_is_dropped_at_any_moment() {
    for moment in Moment::all(1) {
        download(&[("a", 100_000)], moment, |storage, from, to| async move {
            storage.download_file(&from.join("a")?, &to.join("a")).await
        });
    }
}

#[test]
fn a_download_in_ranges_is_dropped_at_any_moment() {
    for moment in Moment::all(3) {
        download(&[("a", LARGE)], moment, |storage, from, to| async move {
            storage.download_file(&from.join("a")?, &to.join("a")).await
        });
    }
}

#[test]
fn a_download_in_ranges_is_dropped_after_any_number_of_writes() {
    // Writes that have started cannot be stopped, but there is more content than that.
    for moment in 0..5 {
        let fixture = Fixture::new();
        fixture.put("inputs/a", &content(LARGE));
        fixture.fault(Fault::slow_pieces(Route::S3Get, Duration::from_millis(1)));
        let progress = TransferProgress::default();
        let storage = fixture.storage().with_progress(&progress);
        let (from, to) = (fixture.uri("inputs/a"), fixture.local("a"));
        let written = (LARGE * moment / 10) as u64;
        let transfer = async move { storage.download_file(&from, &to).await };
        let dropped = fixture.cancel(transfer, |_| progress.now().bytes >= written);
        assert!(dropped, "it was over before {written} bytes were written");
        fixture.nothing_is_left_but(&[]);
        assert!(progress.now().bytes < LARGE as u64, "it went on");
    }
}

#[test]
fn a_download_to_the_cache_is_dropped_at_any_moment_and_another_one_completes() {
    // Inspect, and one request or three ranges.
    for (size, requests) in [(100_000, 2), (LARGE, 4)] {
        for moment in Moment::all(requests) {
            let fixture = Fixture::new();
            fixture.put("inputs/a", &content(size));
            let (folder, scratch) = (fixture.local("cache"), fixture.local("scratch"));
            let fetch = || {
                let cache = InputCache::new(&folder, LARGE as u64);
                let (storage, from) = (fixture.storage(), fixture.uri("inputs/a"));
                let scratch = scratch.clone();
                async move { cache.fetch(&storage, &from, &scratch).await }
            };
            moment.strike(&fixture, fetch());
            let fetched = fixture.run(fetch()).unwrap();
            assert!(std::fs::read(fetched.path()).unwrap() == content(size));
            drop(fetched);
            fixture.nothing_is_left_in(|| {
                let names = std::fs::read_dir(&folder).unwrap();
                let name = |entry: std::fs::DirEntry| entry.file_name().into_string().unwrap();
                let names: Vec<_> = names.map(|entry| name(entry.unwrap())).collect();
                let entry = names.iter().find(|name| name.ends_with("-a"));
                assert!(entry.is_some(), "{moment:?}: {names:?}");
                let kept = ["cache/.lock".into(), format!("cache/{}", entry.unwrap())];
                kept.into()
            });
        }
    }
}

#[test]
fn a_download_of_a_folder_is_dropped_at_any_moment() {
    let inputs = [("a", 10_000), ("b", 20_000), ("c", 0), ("d", 30_000)];
    for moment in Moment::all(5) {
        download(&inputs, moment, |storage, from, to| async move {
            storage.download_folder(&from, &to).await
        });
    }
}

#[test]
fn an_upload_of_a_folder_is_dropped_at_any_moment() {
    for moment in Moment::all(4) {
        let fixture = Fixture::new();
        let sizes = [("a", 10_000), ("b", 20_000), ("c", 0), ("d", 30_000)];
        let folder = fixture.local("sent");
        std::fs::create_dir(&folder).unwrap();
        for (name, size) in sizes {
            std::fs::write(folder.join(name), content(size)).unwrap();
        }
        let (storage, to) = (fixture.storage(), fixture.uri("results"));
        let transfer = async move { storage.upload_folder(&folder, &to).await };
        moment.strike(&fixture, transfer);
        for (name, size) in sizes {
            if let Some(stored) = fixture.stored(&format!("results/{name}")) {
                assert!(stored == content(size), "{moment:?}: {name} is in pieces");
            }
        }
        fixture.nothing_is_left_but(&["sent/a", "sent/b", "sent/c", "sent/d"]);
    }
}
