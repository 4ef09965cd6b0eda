//! Faults while an object is uploaded.

use reefguide_lab::{Fault, Route};
use reefguide_storage::{RequestTries, StorageError};

use crate::content::content;
use crate::failure::expect_failure;
use crate::fixture::{Fixture, LARGE, LATE, TRY};

/// A size, and the route to which the content is sent.
const WAYS: [(usize, Route); 2] = [(100_000, Route::S3Put), (LARGE, Route::S3UploadPart)];

fn store(fixture: &Fixture, size: usize) -> Result<(), StorageError> {
    let uri = fixture.uri("results/a");
    let storage = fixture.storage();
    fixture.run(async { storage.upload_bytes(content(size), &uri).await })?;
    Ok(())
}

/// The first request to a bucket and a later one both survive a temporary fault.
fn survives(fault: impl Fn(Route) -> Fault) {
    for ((size, route), later) in WAYS.into_iter().zip([false; 2]).chain([(WAYS[0], true)]) {
        let fixture = Fixture::new();
        if later {
            fixture.put("results/a", b"before");
        }
        fixture.fault(fault(route));
        store(&fixture, size).unwrap();
        assert!(fixture.lab.faults().fired() > 0, "{route} was not struck");
        fixture.lab.faults().clear();
        let stored = fixture.stored("results/a");
        assert!(stored == Some(content(size)), "{route}: other bytes");
        fixture.nothing_is_left_but(&[]);
    }
}

/// A permanent fault is reported, and the object that the first request stored stays unchanged.
fn fails_with(fault: impl Fn(Route) -> Fault, what: &str, tries: u32) -> Vec<RequestTries> {
    let fails = |(size, route)| {
        let fixture = Fixture::new();
        fixture.put("results/a", b"before");
        fixture.fault(fault(route));
        let store = || store(&fixture, size);
        let tried = expect_failure(&fixture, ("store", "results/a"), what, tries, store);
        fixture.lab.faults().clear();
        assert_eq!(fixture.stored("results/a").as_deref(), Some(&b"before"[..]));
        fixture.nothing_is_left_but(&[]);
        tried
    };
    WAYS.map(fails).into()
}

#[test]
fn a_single_reset_in_the_middle_of_a_body_is_survived() {
    survives(|route| Fault::cut_upload(route, 70_000).times(2));
}

#[test]
fn a_single_lost_answer_is_survived() {
    survives(|route| Fault::lost_answer(route).times(2));
}

#[test]
fn a_single_request_to_slow_down_is_survived() {
    survives(|route| Fault::status(route, 503).times(2));
}

#[test]
fn a_single_late_answer_is_survived() {
    survives(|route| Fault::delay(route, LATE).times(1));
}

#[test]
fn an_answer_that_is_slow_but_in_time_is_waited_for() {
    survives(|route| Fault::delay(route, TRY / 5));
}

#[test]
fn a_connection_that_breaks_every_time_is_reported() {
    fails_with(
        |route| Fault::cut_upload(route, 70_000),
        "cannot be reached",
        4,
    );
}

#[test]
fn a_server_that_always_asks_to_slow_down_is_reported() {
    fails_with(|route| Fault::status(route, 503), "SlowDown", 4);
}

#[test]
fn a_server_that_never_answers_is_reported() {
    let never = |route| Fault::delay(route, LATE);
    for tried in fails_with(never, "did not answer in time", 4) {
        assert!(tried.elapsed >= TRY * 4, "{tried}");
    }
}

#[test]
fn content_that_is_corrupted_in_transit_is_not_stored() {
    fails_with(
        |route| Fault::corrupt_upload(route, 70_000).times(1),
        "checksum",
        1,
    );
}

#[test]
fn an_upload_that_cannot_be_begun_or_completed_leaves_nothing() {
    for route in [Route::S3CreateUpload, Route::S3CompleteUpload] {
        let fixture = Fixture::new();
        fixture.put("results/a", b"before");
        fixture.fault(Fault::status(route, 503));
        let store = || store(&fixture, LARGE);
        expect_failure(&fixture, ("store", "results/a"), "SlowDown", 4, store);
        fixture.lab.faults().clear();
        assert_eq!(fixture.stored("results/a").as_deref(), Some(&b"before"[..]));
        fixture.nothing_is_left_but(&[]);
    }
}

#[test]
fn a_lost_answer_to_the_completion_is_success() {
    let fixture = Fixture::new();
    fixture.fault(Fault::lost_answer(Route::S3CompleteUpload).times(1));
    store(&fixture, LARGE).unwrap();
    assert!(fixture.stored("results/a") == Some(content(LARGE)));
    fixture.nothing_is_left_but(&[]);
}

#[test]
fn a_folder_in_which_one_file_fails_has_only_complete_objects() {
    let fixture = Fixture::new();
    let folder = fixture.local("sent");
    std::fs::create_dir(&folder).unwrap();
    for number in 0..8 {
        std::fs::write(folder.join(number.to_string()), content(1000 + number)).unwrap();
    }
    fixture.fault(Fault::corrupt_upload(Route::S3Put, 500).after(3).times(1));
    let (storage, to) = (fixture.storage(), fixture.uri("results"));
    let error = fixture
        .run(storage.upload_folder(&folder, &to))
        .unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error}");
    drop(storage);
    let mut stored = 0;
    for number in 0..8 {
        if let Some(bytes) = fixture.stored(&format!("results/{number}")) {
            assert!(bytes == content(1000 + number));
            stored += 1;
        }
    }
    assert!(stored < 8);
    let sent: Vec<_> = (0..8).map(|number| format!("sent/{number}")).collect();
    fixture.nothing_is_left_but(&sent.iter().map(String::as_str).collect::<Vec<_>>());
}
