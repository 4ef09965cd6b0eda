//! Many concurrent requests for the same objects.

use std::fs::File;
use std::time::Duration;

use reefguide_lab::{Fault, Route};

use crate::fixture::{Fixture, SIZE, in_time, is_all, names};

/// Longer than every test.
const NEVER: Duration = Duration::from_secs(600);

#[tokio::test]
async fn one_download_serves_all_who_wait() {
    let fixture = Fixture::new().await;
    let uri = fixture.put("depth.tif", b'a').await;
    let slow = Fault::slow_body(Route::S3Get, Duration::from_millis(300));
    fixture.lab.faults().add(slow);
    // Every other one with its own cache, as in another process.
    let shared = fixture.cache(3);
    let waiting: Vec<_> = (0..50)
        .map(|number| match number % 2 {
            0 => fixture.fetching(&shared, &uri),
            _ => fixture.fetching(&fixture.cache(3), &uri),
        })
        .collect();
    for waiter in waiting {
        assert!(is_all(&waiter.await.unwrap().unwrap(), b'a'));
    }
    assert_eq!(fixture.asked(Route::S3Head), 50);
    assert_eq!(fixture.asked(Route::S3Get), 1);
}

#[tokio::test]
async fn when_a_download_is_cancelled_another_waiter_takes_over() {
    let fixture = Fixture::new().await;
    let cache = fixture.cache(3);
    let uri = fixture.put("depth.tif", b'a').await;
    let stuck = Fault::slow_body(Route::S3Get, NEVER);
    fixture.lab.faults().add(stuck.times(1));
    let first = fixture.fetching(&cache, &uri);
    fixture.until_asked(Route::S3Get, 1).await;
    let second = fixture.fetching(&cache, &uri);
    fixture.until_asked(Route::S3Head, 2).await;
    assert_eq!(fixture.asked(Route::S3Get), 1);
    first.abort();
    assert!(is_all(&second.await.unwrap().unwrap(), b'a'));
    assert_eq!(fixture.asked(Route::S3Get), 2);
    assert_eq!(fixture.unfinished(), [""; 0]);
}

#[tokio::test]
async fn a_cancelled_waiter_does_not_affect_the_others() {
    let fixture = Fixture::new().await;
    let cache = fixture.cache(3);
    let uri = fixture.put("depth.tif", b'a').await;
    let slow = Fault::slow_body(Route::S3Get, Duration::from_secs(1));
    fixture.lab.faults().add(slow);
    let first = fixture.fetching(&cache, &uri);
    fixture.until_asked(Route::S3Get, 1).await;
    let [second, third] = [(); 2].map(|()| fixture.fetching(&cache, &uri));
    fixture.until_asked(Route::S3Head, 3).await;
    second.abort();
    assert!(second.await.unwrap_err().is_cancelled());
    for waiter in [first, third] {
        assert!(is_all(&waiter.await.unwrap().unwrap(), b'a'));
    }
    assert_eq!(fixture.asked(Route::S3Get), 1);
}

#[tokio::test]
async fn when_a_download_fails_its_caller_gets_the_error_and_another_waiter_takes_over() {
    let fixture = Fixture::new().await;
    let cache = fixture.cache(3);
    let uri = fixture.put("depth.tif", b'a').await;
    let refused = Fault::status(Route::S3Get, 403);
    fixture.lab.faults().add(refused.times(1));
    let waiting = [(); 3].map(|()| fixture.fetching(&cache, &uri));
    let mut failed = 0;
    for waiter in waiting {
        match waiter.await.unwrap() {
            Ok(input) => assert!(is_all(&input, b'a')),
            Err(_) => failed += 1,
        }
    }
    assert_eq!((failed, fixture.asked(Route::S3Get)), (1, 2));
    assert_eq!(fixture.unfinished(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_limit_holds_during_many_downloads() {
    const ROOM: u64 = 4;
    let fixture = Fixture::new().await;
    fixture.cache(ROOM).prepare().await.unwrap();
    let keys: Vec<_> = (b'a'..=b'z')
        .map(|byte| (byte as char).to_string())
        .collect();
    for key in &keys {
        fixture.put(key, key.as_bytes()[0]).await;
    }
    let folder = fixture.folder.path().to_owned();
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let watching = std::thread::spawn(move || {
        let mut most = 0;
        while is_done.try_recv() != Err(std::sync::mpsc::TryRecvError::Disconnected) {
            // While the lock is held, only downloads can end.
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
            let cache = fixture.cache(ROOM);
            let (key, fetch) = (
                key.as_bytes()[0],
                fixture.fetching(&cache, &fixture.uri(key)),
            );
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
    assert_eq!(names(fixture.scratch.path()), [""; 0]);
}
