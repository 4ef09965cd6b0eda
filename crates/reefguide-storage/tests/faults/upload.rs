//! What goes wrong while an object is stored.

use reefguide_lab::{Fault, Route};
use reefguide_storage::{StorageError, Tried};

use crate::bench::{Bench, LARGE, LATE, TRY};
use crate::content::content;
use crate::told;

/// A size, and the route that its content is sent to.
const WAYS: [(usize, Route); 2] = [(100_000, Route::S3Put), (LARGE, Route::S3UploadPart)];

fn store(bench: &Bench, size: usize) -> Result<(), StorageError> {
    let uri = bench.uri("results/a");
    let storage = bench.storage();
    bench.run(async { storage.upload_bytes(content(size), &uri).await })?;
    Ok(())
}

/// Every fault that passes is ridden out, by the first request to a bucket and by a later one.
fn ridden_out(fault: impl Fn(Route) -> Fault) {
    for ((size, route), later) in WAYS.into_iter().zip([false; 2]).chain([(WAYS[0], true)]) {
        let bench = Bench::new();
        if later {
            bench.put("results/a", b"before");
        }
        bench.fault(fault(route));
        store(&bench, size).unwrap();
        assert!(bench.lab.faults().fired() > 0, "{route} was not struck");
        bench.lab.faults().clear();
        let stored = bench.stored("results/a");
        assert!(stored == Some(content(size)), "{route}: other bytes");
        bench.nothing_is_left_but(&[]);
    }
}

/// A fault that stays is told, and what was there before, stored by the first request, stays.
fn told(fault: impl Fn(Route) -> Fault, what: &str, attempts: u32) -> Vec<Tried> {
    let told = |(size, route)| {
        let bench = Bench::new();
        bench.put("results/a", b"before");
        bench.fault(fault(route));
        let store = || store(&bench, size);
        let tried = told::told(&bench, ("store", "results/a"), what, attempts, store);
        bench.lab.faults().clear();
        assert_eq!(bench.stored("results/a").as_deref(), Some(&b"before"[..]));
        bench.nothing_is_left_but(&[]);
        tried
    };
    WAYS.map(told).into()
}

#[test]
fn a_reset_in_the_middle_of_a_body_is_ridden_out() {
    ridden_out(|route| Fault::cut_upload(route, 70_000).times(2));
}

#[test]
fn a_lost_answer_is_ridden_out() {
    ridden_out(|route| Fault::lost_answer(route).times(2));
}

#[test]
fn a_server_that_asks_to_slow_down_is_ridden_out() {
    ridden_out(|route| Fault::status(route, 503).times(2));
}

#[test]
fn an_answer_that_comes_too_late_once_is_ridden_out() {
    ridden_out(|route| Fault::delay(route, LATE).times(1));
}

#[test]
fn an_answer_that_is_slow_but_in_time_is_waited_for() {
    ridden_out(|route| Fault::delay(route, TRY / 5));
}

#[test]
fn a_connection_that_breaks_every_time_is_told() {
    told(
        |route| Fault::cut_upload(route, 70_000),
        "cannot be reached",
        4,
    );
}

#[test]
fn a_server_that_always_asks_to_slow_down_is_told() {
    told(|route| Fault::status(route, 503), "SlowDown", 4);
}

#[test]
fn a_server_that_never_answers_is_told() {
    let never = |route| Fault::delay(route, LATE);
    for tried in told(never, "did not answer in time", 4) {
        assert!(tried.elapsed >= TRY * 4, "{tried}");
    }
}

#[test]
fn content_that_is_corrupted_on_its_way_is_not_stored() {
    told(
        |route| Fault::corrupt_upload(route, 70_000).times(1),
        "checksum",
        1,
    );
}

#[test]
fn an_upload_that_cannot_be_begun_or_completed_leaves_nothing() {
    for route in [Route::S3CreateUpload, Route::S3CompleteUpload] {
        let bench = Bench::new();
        bench.put("results/a", b"before");
        bench.fault(Fault::status(route, 503));
        let store = || store(&bench, LARGE);
        told::told(&bench, ("store", "results/a"), "SlowDown", 4, store);
        bench.lab.faults().clear();
        assert_eq!(bench.stored("results/a").as_deref(), Some(&b"before"[..]));
        bench.nothing_is_left_but(&[]);
    }
}

#[test]
fn a_lost_answer_to_the_completion_is_success() {
    let bench = Bench::new();
    bench.fault(Fault::lost_answer(Route::S3CompleteUpload).times(1));
    store(&bench, LARGE).unwrap();
    assert!(bench.stored("results/a") == Some(content(LARGE)));
    bench.nothing_is_left_but(&[]);
}

#[test]
fn a_folder_of_which_one_file_fails_has_whole_files_only() {
    let bench = Bench::new();
    let folder = bench.local("sent");
    std::fs::create_dir(&folder).unwrap();
    for number in 0..8 {
        std::fs::write(folder.join(number.to_string()), content(1000 + number)).unwrap();
    }
    bench.fault(Fault::corrupt_upload(Route::S3Put, 500).after(3).times(1));
    let (storage, to) = (bench.storage(), bench.uri("results"));
    let error = bench.run(storage.upload_folder(&folder, &to)).unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error}");
    drop(storage);
    let mut stored = 0;
    for number in 0..8 {
        if let Some(bytes) = bench.stored(&format!("results/{number}")) {
            assert!(bytes == content(1000 + number));
            stored += 1;
        }
    }
    assert!(stored < 8);
    let sent: Vec<_> = (0..8).map(|number| format!("sent/{number}")).collect();
    bench.nothing_is_left_but(&sent.iter().map(String::as_str).collect::<Vec<_>>());
}
