//! Faults while an object is read as it arrives.

use std::time::Duration;

use reefguide_lab::{Fault, Route};
use reefguide_storage::{ObjectReader, StorageError};
use tokio::time::timeout;

use crate::content::content;
use crate::fixture::{Fixture, LARGE};

fn fixture() -> Fixture {
    let fixture = Fixture::new();
    fixture.put("inputs/a", &content(LARGE));
    fixture
}

async fn all(mut reader: ObjectReader) -> Result<Vec<u8>, StorageError> {
    let mut read = Vec::new();
    while let Some(piece) = reader.next().await {
        read.extend_from_slice(&piece?);
    }
    Ok(read)
}

fn read(fixture: &Fixture) -> Result<Vec<u8>, StorageError> {
    let (storage, from) = (fixture.storage(), fixture.uri("inputs/a"));
    fixture.run(async { all(storage.open(&from).await?).await })
}

#[test]
fn content_that_breaks_off_continues_as_long_as_enough_arrives_between() {
    let fixture = fixture();
    fixture.fault(Fault::cut_body(Route::S3Get, 3 << 20));
    assert!(read(&fixture).unwrap() == content(LARGE));
    assert!(fixture.lab.faults().fired() > 4);
    fixture.nothing_is_left_but(&[]);
}

#[test]
fn content_that_always_breaks_off_at_the_same_place_is_reported() {
    let fixture = fixture();
    fixture.fault(Fault::cut_body(Route::S3Get, 0).after(1));
    fixture.fault(Fault::cut_body(Route::S3Get, 100_000).times(1));
    let error = read(&fixture).unwrap_err().to_string();
    assert!(error.contains("broke off"), "{error}");
    fixture.nothing_is_left_but(&[]);
}

#[test]
fn content_that_is_corrupted_in_transit_ends_with_an_error() {
    // Before and after the connection broke.
    for after in [0, 1] {
        let fixture = fixture();
        let corrupted = Fault::corrupt_body(Route::S3Get, 150_000);
        fixture.fault(corrupted.after(after).times(1));
        fixture.fault(Fault::cut_body(Route::S3Get, 1 << 20).times(1));
        let error = read(&fixture).unwrap_err().to_string();
        assert!(error.contains("checksum"), "{error}");
        fixture.nothing_is_left_but(&[]);
    }
}

#[test]
fn an_object_that_is_replaced_while_it_is_read_is_not_mixed_with_the_new_one() {
    let fixture = fixture();
    fixture.fault(Fault::cut_body(Route::S3Get, 1 << 20).times(1));
    let (storage, from) = (fixture.storage(), fixture.uri("inputs/a"));
    let error = fixture.run(async {
        let reader = storage.open(&from).await.unwrap();
        storage.upload_bytes("new", &from).await.unwrap();
        all(reader).await.unwrap_err().to_string()
    });
    assert!(error.contains("replaced during the transfer"), "{error}");
    drop(storage);
    fixture.nothing_is_left_but(&[]);
}

#[test]
fn dropping_reads_again_and_again_loses_nothing() {
    let fixture = fixture();
    fixture.fault(Fault::slow_pieces(Route::S3Get, Duration::from_millis(5)));
    let (storage, from) = (fixture.storage(), fixture.uri("inputs/a"));
    let (read, given_up) = fixture.run(async {
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
    fixture.nothing_is_left_but(&[]);
}

#[test]
fn readers_that_wait_for_each_other_block_nothing_and_leave_nothing() {
    let fixture = fixture();
    let (storage, from) = (fixture.storage(), fixture.uri("inputs/a"));
    fixture.run(async {
        let mut readers = Vec::new();
        // More than the allowed number of concurrent requests.
        for _ in 0..50 {
            readers.push(storage.open(&from).await.unwrap());
        }
        storage.upload_bytes("b", &fixture.uri("b")).await.unwrap();
        for reader in &mut readers {
            reader.next().await.unwrap().unwrap();
        }
    });
    drop(storage);
    fixture.nothing_is_left_but(&[]);
}
