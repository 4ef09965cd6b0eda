//! Faults while an object is downloaded.

use reefguide_lab::{Fault, Route};
use reefguide_storage::{RequestTries, StorageError};

use crate::content::content;
use crate::failure::expect_failure;
use crate::fixture::{Fixture, LARGE, LATE, TRY};

/// The size of an object, and whether another one was read before: the first request of a kind is made in
/// another way than later ones.
type Read = (usize, bool);
/// One request, and ranges.
const READS: [Read; 4] = [
    (200_000, false),
    (200_000, true),
    (LARGE, false),
    (LARGE, true),
];

/// A lab with an object, and a file of its name from before.
fn fixture((size, later): Read) -> Fixture {
    let fixture = Fixture::new();
    fixture.put("inputs/a", &content(size));
    if later {
        fixture.put("inputs/b", b"another");
        assert!(fixture.stored("inputs/b").is_some());
    }
    std::fs::write(fixture.local("a"), "before").unwrap();
    fixture
}

fn fetch(fixture: &Fixture) -> Result<u64, StorageError> {
    let (storage, from, to) = (
        fixture.storage(),
        fixture.uri("inputs/a"),
        fixture.local("a"),
    );
    fixture.run(async { Ok(storage.download_file(&from, &to).await?.size) })
}

fn survives(fault: &Fault) {
    for read in READS {
        let (fixture, size) = (fixture(read), read.0);
        fixture.fault(fault.clone());
        assert_eq!(fetch(&fixture).unwrap(), size as u64);
        assert!(fixture.lab.faults().fired() > 0, "nothing was struck");
        assert!(std::fs::read(fixture.local("a")).unwrap() == content(size));
        fixture.nothing_is_left_but(&["a"]);
    }
}

fn fails_with(read: Read, fault: Fault, what: &str, tries: u32) -> RequestTries {
    let fixture = fixture(read);
    fixture.fault(fault);
    let read = ("read", "inputs/a");
    let tried = expect_failure(&fixture, read, what, tries, || fetch(&fixture));
    assert_eq!(std::fs::read(fixture.local("a")).unwrap(), b"before");
    fixture.nothing_is_left_but(&["a"]);
    tried
}

#[test]
fn a_single_reset_in_the_middle_of_a_body_is_survived() {
    survives(&Fault::cut_body(Route::S3Get, 150_000).times(2));
}

#[test]
fn a_single_reset_before_the_answer_is_survived() {
    survives(&Fault::reset(Route::S3Get).times(2));
}

#[test]
fn a_single_request_to_slow_down_is_survived() {
    survives(&Fault::status(Route::S3Get, 503).times(2));
}

#[test]
fn a_single_late_answer_is_survived() {
    survives(&Fault::delay(Route::S3Get, LATE).times(1));
}

#[test]
fn slow_but_steady_content_is_not_interrupted() {
    for read in READS {
        let (fixture, size) = (fixture(read), read.0);
        // In total it takes longer than a try may take until its answer begins.
        let wait = TRY * 4 / u32::try_from(size.div_ceil(64 << 10)).unwrap();
        fixture.fault(Fault::slow_pieces(Route::S3Get, wait));
        fetch(&fixture).unwrap();
        assert!(std::fs::read(fixture.local("a")).unwrap() == content(size));
        fixture.nothing_is_left_but(&["a"]);
    }
}

#[test]
fn content_that_breaks_off_every_time_is_reported() {
    for read in READS {
        fails_with(read, Fault::cut_body(Route::S3Get, 0), "broke off", 4);
    }
}

#[test]
fn a_server_that_always_asks_to_slow_down_is_reported() {
    for read in READS {
        fails_with(read, Fault::status(Route::S3Get, 503), "SlowDown", 4);
    }
}

#[test]
fn the_tries_of_the_failed_range_are_reported() {
    let fault = Fault::status(Route::S3Get, 503).after(1);
    fails_with((LARGE, false), fault, "SlowDown", 4);
}

#[test]
fn a_server_that_never_answers_is_reported() {
    let never = Fault::delay(Route::S3Get, LATE);
    for read in READS {
        let tried = fails_with(read, never.clone(), "did not answer in time", 4);
        assert!(tried.elapsed >= TRY * 4, "{tried}");
    }
}

#[test]
fn a_range_that_is_corrupted_in_transit_leaves_no_file() {
    // In the first answer, which is read up to the end of the first range, and in the others.
    for after in [0, 1] {
        let fault = Fault::corrupt_body(Route::S3Get, 150_000)
            .after(after)
            .times(1);
        fails_with((LARGE, false), fault, "checksum", 1);
    }
}

#[test]
fn content_that_is_corrupted_in_transit_leaves_no_file() {
    for read in READS {
        let fault = Fault::corrupt_body(Route::S3Get, 150_000).times(1);
        fails_with(read, fault, "checksum", 1);
    }
}

#[test]
fn a_folder_in_which_one_object_fails_has_only_complete_files() {
    let fixture = Fixture::new();
    for number in 0..8 {
        fixture.put(&format!("inputs/{number}"), &content(1000 + number));
    }
    fixture.fault(Fault::corrupt_body(Route::S3Get, 500).after(3).times(1));
    let (storage, from, to) = (
        fixture.storage(),
        fixture.uri("inputs"),
        fixture.local("received"),
    );
    let error = fixture.run(async { storage.download_folder(&from, &to).await });
    let error = error.unwrap_err().to_string();
    assert!(error.contains("checksum"), "{error}");
    drop(storage);
    fixture.nothing_is_left_in(|| {
        let landed: Vec<_> = (0..8)
            .filter_map(|number| {
                let received = std::fs::read(to.join(number.to_string())).ok()?;
                assert!(received == content(1000 + number));
                Some(format!("received/{number}"))
            })
            .collect();
        assert!(landed.len() < 8);
        landed
    });
}
