//! What goes wrong while an object is read.

use reefguide_lab::{Fault, Route};
use reefguide_storage::{StorageError, Tried};

use crate::bench::{Bench, LARGE, LATE, TRY};
use crate::content::content;
use crate::told;

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
fn bench((size, later): Read) -> Bench {
    let bench = Bench::new();
    bench.put("inputs/a", &content(size));
    if later {
        bench.put("inputs/b", b"another");
        assert!(bench.stored("inputs/b").is_some());
    }
    std::fs::write(bench.local("a"), "before").unwrap();
    bench
}

fn fetch(bench: &Bench) -> Result<u64, StorageError> {
    let (storage, from, to) = (bench.storage(), bench.uri("inputs/a"), bench.local("a"));
    bench.run(async { Ok(storage.download_file(&from, &to).await?.size) })
}

fn ridden_out(fault: &Fault) {
    for read in READS {
        let (bench, size) = (bench(read), read.0);
        bench.fault(fault.clone());
        assert_eq!(fetch(&bench).unwrap(), size as u64);
        assert!(bench.lab.faults().fired() > 0, "nothing was struck");
        assert!(std::fs::read(bench.local("a")).unwrap() == content(size));
        bench.nothing_is_left_but(&["a"]);
    }
}

fn told(read: Read, fault: Fault, what: &str, attempts: u32) -> Tried {
    let bench = bench(read);
    bench.fault(fault);
    let read = ("read", "inputs/a");
    let tried = told::told(&bench, read, what, attempts, || fetch(&bench));
    assert_eq!(std::fs::read(bench.local("a")).unwrap(), b"before");
    bench.nothing_is_left_but(&["a"]);
    tried
}

#[test]
fn a_reset_in_the_middle_of_a_body_is_ridden_out() {
    ridden_out(&Fault::cut_body(Route::S3Get, 150_000).times(2));
}

#[test]
fn a_reset_before_the_answer_is_ridden_out() {
    ridden_out(&Fault::reset(Route::S3Get).times(2));
}

#[test]
fn a_server_that_asks_to_slow_down_is_ridden_out() {
    ridden_out(&Fault::status(Route::S3Get, 503).times(2));
}

#[test]
fn an_answer_that_comes_too_late_once_is_ridden_out() {
    ridden_out(&Fault::delay(Route::S3Get, LATE).times(1));
}

#[test]
fn content_that_comes_slowly_but_steadily_is_waited_for() {
    for read in READS {
        let (bench, size) = (bench(read), read.0);
        // All of it takes longer than a try may take until its answer begins.
        let wait = TRY * 4 / u32::try_from(size.div_ceil(64 << 10)).unwrap();
        bench.fault(Fault::slow_pieces(Route::S3Get, wait));
        fetch(&bench).unwrap();
        assert!(std::fs::read(bench.local("a")).unwrap() == content(size));
        bench.nothing_is_left_but(&["a"]);
    }
}

#[test]
fn content_that_breaks_off_every_time_is_told() {
    for read in READS {
        told(read, Fault::cut_body(Route::S3Get, 0), "broke off", 4);
    }
}

#[test]
fn a_server_that_always_asks_to_slow_down_is_told() {
    for read in READS {
        told(read, Fault::status(Route::S3Get, 503), "SlowDown", 4);
    }
}

#[test]
fn of_a_range_that_fails_its_own_attempts_are_told() {
    let fault = Fault::status(Route::S3Get, 503).after(1);
    told((LARGE, false), fault, "SlowDown", 4);
}

#[test]
fn a_server_that_never_answers_is_told() {
    let never = Fault::delay(Route::S3Get, LATE);
    for read in READS {
        let tried = told(read, never.clone(), "did not answer in time", 4);
        assert!(tried.elapsed >= TRY * 4, "{tried}");
    }
}

#[test]
fn a_range_that_is_corrupted_on_its_way_does_not_land() {
    // In the first answer, which is read up to the end of the first range, and in the others.
    for after in [0, 1] {
        let fault = Fault::corrupt_body(Route::S3Get, 150_000)
            .after(after)
            .times(1);
        told((LARGE, false), fault, "checksum", 1);
    }
}

#[test]
fn content_that_is_corrupted_on_its_way_does_not_land() {
    for read in READS {
        let fault = Fault::corrupt_body(Route::S3Get, 150_000).times(1);
        told(read, fault, "checksum", 1);
    }
}

#[test]
fn a_folder_of_which_one_object_fails_has_whole_files_only() {
    let bench = Bench::new();
    for number in 0..8 {
        bench.put(&format!("inputs/{number}"), &content(1000 + number));
    }
    bench.fault(Fault::corrupt_body(Route::S3Get, 500).after(3).times(1));
    let (storage, from, to) = (
        bench.storage(),
        bench.uri("inputs"),
        bench.local("received"),
    );
    let error = bench.run(async { storage.download_folder(&from, &to).await });
    let error = error.unwrap_err().to_string();
    assert!(error.contains("checksum"), "{error}");
    drop(storage);
    bench.nothing_is_left_in(|| {
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
