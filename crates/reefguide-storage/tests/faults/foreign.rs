//! Answers of something that is not S3: a proxy's page of any status, or its redirect.

use reefguide_lab::{Fault, Route};
use reefguide_storage::{StorageError, StorageUri};

use crate::bench::{Bench, LARGE};
use crate::content::content;
use crate::told::told;

/// A call that makes requests to a route.
#[derive(Clone, Copy)]
struct Call {
    route: Route,
    /// How many requests to it there are before the one that is struck.
    after: u64,
    action: &'static str,
    key: &'static str,
    make: fn(&Bench) -> Result<(), StorageError>,
}

const CALLS: [Call; 11] = [
    call(Route::S3Put, 0, "store", "results/a", store_small),
    // Not by the SDK's whole machinery any more.
    call(Route::S3Put, 1, "store", "results/a", |bench| {
        store_small(bench)?;
        store_small(bench)
    }),
    call(Route::S3CreateUpload, 0, "store", "results/a", store_large),
    call(Route::S3UploadPart, 1, "store", "results/a", store_large),
    call(
        Route::S3CompleteUpload,
        0,
        "store",
        "results/a",
        store_large,
    ),
    call(Route::S3Get, 0, "read", "inputs/small", read),
    call(Route::S3Get, 1, "read", "inputs/small", |bench| {
        read(bench)?;
        read(bench)
    }),
    // A range of it.
    call(Route::S3Get, 1, "read", "inputs/large", download),
    call(Route::S3List, 0, "list", "inputs", |bench| {
        let listed = bench.run(bench.storage().list(&bench.uri("inputs")))?;
        assert_eq!(listed.len(), 2);
        Ok(())
    }),
    call(Route::S3Head, 0, "inspect", "inputs/small", |bench| {
        let info = bench.run(bench.storage().info(&bench.uri("inputs/small")))?;
        assert_eq!(info.size, SMALL as u64);
        Ok(())
    }),
    call(Route::S3Delete, 0, "delete", "inputs/small", |bench| {
        bench.run(bench.storage().delete(&bench.uri("inputs/small")))
    }),
];

const SMALL: usize = 100_000;

const fn call(
    route: Route,
    after: u64,
    action: &'static str,
    key: &'static str,
    make: fn(&Bench) -> Result<(), StorageError>,
) -> Call {
    Call {
        route,
        after,
        action,
        key,
        make,
    }
}

fn store_small(bench: &Bench) -> Result<(), StorageError> {
    store(bench, SMALL)
}

fn store_large(bench: &Bench) -> Result<(), StorageError> {
    store(bench, LARGE)
}

fn store(bench: &Bench, size: usize) -> Result<(), StorageError> {
    let (storage, to) = (bench.storage(), bench.uri("results/a"));
    let stored = bench.run(storage.upload_bytes(content(size), &to))?;
    assert_eq!((stored.size, stored.etag.is_some()), (size as u64, true));
    Ok(())
}

fn read(bench: &Bench) -> Result<(), StorageError> {
    let (storage, from) = (bench.storage(), bench.uri("inputs/small"));
    let read = bench.run(storage.read(&from, u64::MAX))?;
    assert!(read == content(SMALL), "other bytes");
    Ok(())
}

fn download(bench: &Bench) -> Result<(), StorageError> {
    let (storage, to) = (bench.storage(), bench.local("large"));
    bench.run(storage.download_file(&bench.uri("inputs/large"), &to))?;
    assert!(std::fs::read(&to).unwrap() == content(LARGE), "other bytes");
    std::fs::remove_file(&to).unwrap();
    Ok(())
}

/// With objects to read.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.put("inputs/small", &content(SMALL));
    bench.put("inputs/large", &content(LARGE));
    bench
}

fn redirect(route: Route, status: u16) -> Fault {
    let to = "https://me:secret@login.example/sign-in?token=secret";
    Fault::redirect(route, status, to)
}

#[test]
fn a_page_or_a_redirect_that_passes_is_ridden_out_by_every_call() {
    for call in CALLS {
        let bench = bench();
        let pages = [200, 204, 304, 403, 404, 412, 500, 502, 599];
        let pages = pages.map(|status| Fault::page(call.route, status));
        let redirects = [301, 302, 307, 308].map(|status| redirect(call.route, status));
        for fault in pages.into_iter().chain(redirects) {
            let what = format!("{fault:?}");
            bench.fault(fault.after(call.after).times(1));
            (call.make)(&bench).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(bench.lab.faults().fired(), 1, "{what} did not strike");
            bench.lab.faults().clear();
        }
        bench.nothing_is_left_but(&[]);
    }
}

#[test]
fn an_answer_that_a_page_takes_the_place_of_once_is_none() {
    for call in CALLS {
        let bench = bench();
        for status in [200, 404] {
            let swapped = Fault::swapped_answer(call.route, status);
            bench.fault(swapped.after(call.after).times(1));
            (call.make)(&bench).unwrap_or_else(|error| panic!("{status} {}: {error}", call.route));
            assert_eq!(bench.lab.faults().fired(), 1, "{}", call.route);
            bench.lab.faults().clear();
        }
        if call.route != Route::S3CreateUpload {
            // Of an upload whose id was lost nobody can tell the server.
            bench.nothing_is_left_but(&[]);
        }
    }
}

#[test]
fn a_page_that_stays_is_told_with_what_came_and_what_it_lacks() {
    let lacks = |route, status| match (route, status) {
        (Route::S3Head, 403 | 404) | (Route::S3Delete, 200) => "a request id",
        (Route::S3List | Route::S3CreateUpload | Route::S3CompleteUpload, 200) | (_, 403 | 404) => {
            "XML of S3"
        }
        _ => "an ETag",
    };
    let statuses = [(200, "OK"), (404, "Not Found"), (403, "Forbidden")];
    for (call, (status, reason)) in CALLS.into_iter().zip(statuses.into_iter().cycle()) {
        let bench = bench();
        bench.fault(Fault::page(call.route, status).after(call.after));
        // A page for `HEAD` has no body.
        let page = match call.route {
            Route::S3Head => String::new(),
            _ => format!(" (\"{status} {reason}\")"),
        };
        let lacks = lacks(call.route, status);
        let what = format!(
            "does not answer as S3 does: {status} with text/html{page} and without {lacks} ("
        );
        told(&bench, (call.action, call.key), &what, 4, || {
            (call.make)(&bench)
        });
        bench.nothing_is_left_but(&[]);
    }
}

#[test]
fn a_redirect_that_stays_is_told_with_its_address_and_nothing_secret_in_it() {
    for (call, status) in CALLS
        .into_iter()
        .zip([301, 302, 307, 308].into_iter().cycle())
    {
        let bench = bench();
        bench.fault(redirect(call.route, status).after(call.after));
        let what = format!(
            "does not answer as S3 does: {status}, a redirect to https://login.example/sign-in, which is not \
             followed ("
        );
        told(&bench, (call.action, call.key), &what, 4, || {
            (call.make)(&bench)
        });
        bench.nothing_is_left_but(&[]);
    }
}

#[test]
fn only_s3_itself_can_say_that_there_is_no_such_object() {
    let bench = bench();
    let storage = bench.storage();
    let missing: StorageUri = bench.uri("inputs/none");
    let missing = || {
        [
            bench.run(storage.info(&missing)).unwrap_err(),
            bench.run(storage.read(&missing, 1)).unwrap_err(),
        ]
    };
    for error in missing() {
        assert!(
            matches!(error, StorageError::NoSuchObject { .. }),
            "{error}"
        );
    }
    bench.fault(Fault::page(Route::AnyS3, 404));
    for error in missing() {
        assert!(matches!(error, StorageError::Foreign { .. }), "{error}");
        assert!(error.is_retryable());
    }
    drop(storage);
    bench.nothing_is_left_but(&[]);
}
