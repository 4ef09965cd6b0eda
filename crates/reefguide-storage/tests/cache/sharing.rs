//! Many who want the same at once.

use std::fs::File;
use std::time::Duration;

use reefguide_lab::{Fault, Route};

use crate::rig::{Rig, SIZE, in_time, is_all, names};

/// Longer than any test takes.
const NEVER: Duration = Duration::from_secs(600);

#[tokio::test]
async fn one_download_serves_all_who_wait() {
    let rig = Rig::new().await;
    let uri = rig.put("depth.tif", b'a').await;
    let slow = Fault::slow_body(Route::S3Get, Duration::from_millis(300));
    rig.lab.faults().add(slow);
    // Every other with a cache of its own, as in another process.
    let shared = rig.cache(3);
    let waiting: Vec<_> = (0..50)
        .map(|number| match number % 2 {
            0 => rig.fetching(&shared, &uri),
            _ => rig.fetching(&rig.cache(3), &uri),
        })
        .collect();
    for waiter in waiting {
        assert!(is_all(&waiter.await.unwrap().unwrap(), b'a'));
    }
    assert_eq!(rig.asked(Route::S3Head), 50);
    assert_eq!(rig.asked(Route::S3Get), 1);
}

#[tokio::test]
async fn when_the_one_who_downloads_is_cancelled_another_takes_over() {
    let rig = Rig::new().await;
    let cache = rig.cache(3);
    let uri = rig.put("depth.tif", b'a').await;
    let stuck = Fault::slow_body(Route::S3Get, NEVER);
    rig.lab.faults().add(stuck.times(1));
    let first = rig.fetching(&cache, &uri);
    rig.until_asked(Route::S3Get, 1).await;
    let second = rig.fetching(&cache, &uri);
    rig.until_asked(Route::S3Head, 2).await;
    assert_eq!(rig.asked(Route::S3Get), 1);
    first.abort();
    assert!(is_all(&second.await.unwrap().unwrap(), b'a'));
    assert_eq!(rig.asked(Route::S3Get), 2);
    assert_eq!(rig.unfinished(), [""; 0]);
}

#[tokio::test]
async fn a_waiter_that_is_cancelled_takes_nothing_with_it() {
    let rig = Rig::new().await;
    let cache = rig.cache(3);
    let uri = rig.put("depth.tif", b'a').await;
    let slow = Fault::slow_body(Route::S3Get, Duration::from_secs(1));
    rig.lab.faults().add(slow);
    let first = rig.fetching(&cache, &uri);
    rig.until_asked(Route::S3Get, 1).await;
    let [second, third] = [(); 2].map(|()| rig.fetching(&cache, &uri));
    rig.until_asked(Route::S3Head, 3).await;
    second.abort();
    assert!(second.await.unwrap_err().is_cancelled());
    for waiter in [first, third] {
        assert!(is_all(&waiter.await.unwrap().unwrap(), b'a'));
    }
    assert_eq!(rig.asked(Route::S3Get), 1);
}

#[tokio::test]
async fn when_a_download_fails_its_caller_is_told_and_another_takes_over() {
    let rig = Rig::new().await;
    let cache = rig.cache(3);
    let uri = rig.put("depth.tif", b'a').await;
    let refused = Fault::status(Route::S3Get, 403);
    rig.lab.faults().add(refused.times(1));
    let waiting = [(); 3].map(|()| rig.fetching(&cache, &uri));
    let mut failed = 0;
    for waiter in waiting {
        match waiter.await.unwrap() {
            Ok(input) => assert!(is_all(&input, b'a')),
            Err(_) => failed += 1,
        }
    }
    assert_eq!((failed, rig.asked(Route::S3Get)), (1, 2));
    assert_eq!(rig.unfinished(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_bound_holds_while_many_download() {
    const ROOM: u64 = 4;
    let rig = Rig::new().await;
    rig.cache(ROOM).prepare().await.unwrap();
    let keys: Vec<_> = (b'a'..=b'z')
        .map(|byte| (byte as char).to_string())
        .collect();
    for key in &keys {
        rig.put(key, key.as_bytes()[0]).await;
    }
    let folder = rig.folder.path().to_owned();
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let watching = std::thread::spawn(move || {
        let mut most = 0;
        while is_done.try_recv() != Err(std::sync::mpsc::TryRecvError::Disconnected) {
            // While it is held nothing comes or goes but downloads that end.
            let lock = File::options()
                .write(true)
                .open(folder.join(".lock"))
                .unwrap();
            lock.lock().unwrap();
            most = most.max(names(&folder).len() as u64 - 1);
            drop(lock);
            std::thread::sleep(Duration::from_millis(1));
        }
        most
    });
    let mut fetching = Vec::new();
    for round in 0..3 {
        for key in &keys {
            let cache = rig.cache(ROOM);
            let (key, fetch) = (key.as_bytes()[0], rig.fetching(&cache, &rig.uri(key)));
            fetching.push(tokio::spawn(async move {
                let input = fetch.await.unwrap().unwrap();
                assert!(is_all(&input, key), "round {round}");
            }));
        }
    }
    for fetch in fetching {
        in_time(fetch).await.unwrap();
    }
    drop(done);
    let most = watching.join().unwrap();
    assert!((2..=ROOM).contains(&most), "{most} objects of {SIZE} bytes");
    assert_eq!(names(rig.scratch.path()), [""; 0]);
}
