//! What goes wrong while an object is read as it arrives.

use std::time::Duration;

use reefguide_lab::{Fault, Route};
use reefguide_storage::{ObjectReader, StorageError};
use tokio::time::timeout;

use crate::bench::{Bench, LARGE};
use crate::content::content;

fn bench() -> Bench {
    let bench = Bench::new();
    bench.put("inputs/a", &content(LARGE));
    bench
}

async fn all(mut reader: ObjectReader) -> Result<Vec<u8>, StorageError> {
    let mut read = Vec::new();
    while let Some(piece) = reader.next().await {
        read.extend_from_slice(&piece?);
    }
    Ok(read)
}

fn read(bench: &Bench) -> Result<Vec<u8>, StorageError> {
    let (storage, from) = (bench.storage(), bench.uri("inputs/a"));
    bench.run(async { all(storage.open(&from).await?).await })
}

#[test]
fn content_that_breaks_off_goes_on_where_it_was_as_long_as_much_arrives() {
    let bench = bench();
    bench.fault(Fault::cut_body(Route::S3Get, 3 << 20));
    assert!(read(&bench).unwrap() == content(LARGE));
    assert!(bench.lab.faults().fired() > 4);
    bench.nothing_is_left_but(&[]);
}

#[test]
fn content_that_breaks_off_at_one_place_every_time_is_told() {
    let bench = bench();
    bench.fault(Fault::cut_body(Route::S3Get, 0).after(1));
    bench.fault(Fault::cut_body(Route::S3Get, 100_000).times(1));
    let error = read(&bench).unwrap_err().to_string();
    assert!(error.contains("broke off"), "{error}");
    bench.nothing_is_left_but(&[]);
}

#[test]
fn content_that_is_corrupted_on_its_way_does_not_come_to_its_end() {
    // Before and after the connection broke.
    for after in [0, 1] {
        let bench = bench();
        let corrupted = Fault::corrupt_body(Route::S3Get, 150_000);
        bench.fault(corrupted.after(after).times(1));
        bench.fault(Fault::cut_body(Route::S3Get, 1 << 20).times(1));
        let error = read(&bench).unwrap_err().to_string();
        assert!(error.contains("checksum"), "{error}");
        bench.nothing_is_left_but(&[]);
    }
}

#[test]
fn an_object_that_is_replaced_meanwhile_is_not_mixed_with_the_new_one() {
    let bench = bench();
    bench.fault(Fault::cut_body(Route::S3Get, 1 << 20).times(1));
    let (storage, from) = (bench.storage(), bench.uri("inputs/a"));
    let error = bench.run(async {
        let reader = storage.open(&from).await.unwrap();
        storage.upload_bytes("new", &from).await.unwrap();
        all(reader).await.unwrap_err().to_string()
    });
    assert!(error.contains("replaced meanwhile"), "{error}");
    drop(storage);
    bench.nothing_is_left_but(&[]);
}

#[test]
fn reading_that_is_given_up_again_and_again_loses_nothing() {
    let bench = bench();
    bench.fault(Fault::slow_pieces(Route::S3Get, Duration::from_millis(5)));
    let (storage, from) = (bench.storage(), bench.uri("inputs/a"));
    let (read, given_up) = bench.run(async {
        let mut reader = storage.open(&from).await.unwrap();
        let (mut read, mut given_up) = (Vec::new(), 0);
        loop {
            match timeout(Duration::from_millis(1), reader.next()).await {
                Ok(Some(piece)) => read.extend_from_slice(&piece.unwrap()),
                Ok(None) => return (read, given_up),
                Err(_) => given_up += 1,
            }
        }
    });
    assert!(given_up > 0);
    assert!(read == content(LARGE));
    drop(storage);
    bench.nothing_is_left_but(&[]);
}

#[test]
fn readers_that_wait_for_each_other_keep_nothing_waiting_and_leave_nothing() {
    let bench = bench();
    let (storage, from) = (bench.storage(), bench.uri("inputs/a"));
    bench.run(async {
        let mut readers = Vec::new();
        // More than there may be requests at once.
        for _ in 0..50 {
            readers.push(storage.open(&from).await.unwrap());
        }
        storage.upload_bytes("b", &bench.uri("b")).await.unwrap();
        for reader in &mut readers {
            reader.next().await.unwrap().unwrap();
        }
    });
    drop(storage);
    bench.nothing_is_left_but(&[]);
}
