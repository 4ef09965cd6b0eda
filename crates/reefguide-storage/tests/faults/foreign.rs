//! Answers that are not S3's: a proxy's page with any status, or its redirect.

use reefguide_lab::{Fault, Route};
use reefguide_storage::{StorageError, StorageUri};

use crate::content::content;
use crate::failure::expect_failure;
use crate::fixture::{Fixture, LARGE};

/// A call that makes requests to a route.
#[derive(Clone, Copy)]
struct Call {
    route: Route,
    /// The number of requests before the one that gets the fault.
    after: u64,
    action: &'static str,
    key: &'static str,
    make: fn(&Fixture) -> Result<(), StorageError>,
}

const CALLS: [Call; 11] = [
    call(Route::S3Put, 0, "store", "results/a", store_small),
    // A later request, which does not go through the whole SDK.
    call(Route::S3Put, 1, "store", "results/a", |fixture| {
        store_small(fixture)?;
        store_small(fixture)
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
    call(Route::S3Get, 1, "read", "inputs/small", |fixture| {
        read(fixture)?;
        read(fixture)
    }),
    // A range of the object.
    call(Route::S3Get, 1, "read", "inputs/large", download),
    call(Route::S3List, 0, "list", "inputs", |fixture| {
        let listed = fixture.run(fixture.storage().list(&fixture.uri("inputs")))?;
        assert_eq!(listed.len(), 2);
        Ok(())
    }),
    call(Route::S3Head, 0, "inspect", "inputs/small", |fixture| {
        let info = fixture.run(fixture.storage().info(&fixture.uri("inputs/small")))?;
        assert_eq!(info.size, SMALL as u64);
        Ok(())
    }),
    call(Route::S3Delete, 0, "delete", "inputs/small", |fixture| {
        fixture.run(fixture.storage().delete(&fixture.uri("inputs/small")))
    }),
];

const SMALL: usize = 100_000;

const fn call(
    route: Route,
    after: u64,
    action: &'static str,
    key: &'static str,
    make: fn(&Fixture) -> Result<(), StorageError>,
) -> Call {
    Call {
        route,
        after,
        action,
        key,
        make,
    }
}

fn store_small(fixture: &Fixture) -> Result<(), StorageError> {
    store(fixture, SMALL)
}

fn store_large(fixture: &Fixture) -> Result<(), StorageError> {
    store(fixture, LARGE)
}

fn store(fixture: &Fixture, size: usize) -> Result<(), StorageError> {
    let (storage, to) = (fixture.storage(), fixture.uri("results/a"));
    let stored = fixture.run(storage.upload_bytes(content(size), &to))?;
    assert_eq!((stored.size, stored.etag.is_some()), (size as u64, true));
    Ok(())
}

fn read(fixture: &Fixture) -> Result<(), StorageError> {
    let (storage, from) = (fixture.storage(), fixture.uri("inputs/small"));
    let read = fixture.run(storage.read(&from, u64::MAX))?;
    assert!(read == content(SMALL), "other bytes");
    Ok(())
}

fn download(fixture: &Fixture) -> Result<(), StorageError> {
    let (storage, to) = (fixture.storage(), fixture.local("large"));
    fixture.run(storage.download_file(&fixture.uri("inputs/large"), &to))?;
    assert!(std::fs::read(&to).unwrap() == content(LARGE), "other bytes");
    std::fs::remove_file(&to).unwrap();
    Ok(())
}

/// A fixture with objects to read.
fn fixture() -> Fixture {
    let fixture = Fixture::new();
    fixture.put("inputs/small", &content(SMALL));
    fixture.put("inputs/large", &content(LARGE));
    fixture
}

fn redirect(route: Route, status: u16) -> Fault {
    let to = "https://me:secret@login.example/sign-in?token=secret";
    Fault::redirect(route, status, to)
}

#[test]
fn every_call_survives_a_temporary_page_or_redirect() {
    for call in CALLS {
        let fixture = fixture();
        let pages = [200, 204, 304, 403, 404, 412, 500, 502, 599];
        let pages = pages.map(|status| Fault::page(call.route, status));
        let redirects = [301, 302, 307, 308].map(|status| redirect(call.route, status));
        for fault in pages.into_iter().chain(redirects) {
            let what = format!("{fault:?}");
            fixture.fault(fault.after(call.after).times(1));
            (call.make)(&fixture).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(fixture.lab.faults().fired(), 1, "{what} did not strike");
            fixture.lab.faults().clear();
        }
        fixture.nothing_is_left_but(&[]);
    }
}

#[test]
fn an_answer_that_a_page_replaced_does_not_count() {
    for call in CALLS {
        let fixture = fixture();
        for status in [200, 404] {
            let swapped = Fault::swapped_answer(call.route, status);
            fixture.fault(swapped.after(call.after).times(1));
            (call.make)(&fixture)
                .unwrap_or_else(|error| panic!("{status} {}: {error}", call.route));
            assert_eq!(fixture.lab.faults().fired(), 1, "{}", call.route);
            fixture.lab.faults().clear();
        }
        if call.route != Route::S3CreateUpload {
            // An upload whose id was lost cannot be aborted.
            fixture.nothing_is_left_but(&[]);
        }
    }
}

#[test]
fn a_permanent_page_is_reported_with_its_content_and_what_it_lacks() {
    let lacks = |route, status| match (route, status) {
        (Route::S3Head, 403 | 404) | (Route::S3Delete, 200) => "a request id",
        (Route::S3List | Route::S3CreateUpload | Route::S3CompleteUpload, 200) | (_, 403 | 404) => {
            "XML of S3"
        }
        _ => "an ETag",
    };
    let statuses = [(200, "OK"), (404, "Not Found"), (403, "Forbidden")];
    for (call, (status, reason)) in CALLS.into_iter().zip(statuses.into_iter().cycle()) {
        let fixture = fixture();
        fixture.fault(Fault::page(call.route, status).after(call.after));
        // The answer to `HEAD` has no page.
        let page = match call.route {
            Route::S3Head => String::new(),
            _ => format!(" (\"{status} {reason}\")"),
        };
        let lacks = lacks(call.route, status);
        let what = format!(
            "does not answer as S3 does: {status} with text/html{page} and without {lacks} ("
        );
        expect_failure(&fixture, (call.action, call.key), &what, 4, || {
            (call.make)(&fixture)
        });
        fixture.nothing_is_left_but(&[]);
    }
}

#[test]
fn a_permanent_redirect_is_reported_with_its_address_but_no_secrets() {
    for (call, status) in CALLS
        .into_iter()
        .zip([301, 302, 307, 308].into_iter().cycle())
    {
        let fixture = fixture();
        fixture.fault(redirect(call.route, status).after(call.after));
        let what = format!(
            "does not answer as S3 does: {status}, a redirect to https://login.example/sign-in, which is not \
             followed ("
        );
        expect_failure(&fixture, (call.action, call.key), &what, 4, || {
            (call.make)(&fixture)
        });
        fixture.nothing_is_left_but(&[]);
    }
}

#[test]
fn only_s3_itself_can_say_that_there_is_no_such_object() {
    let fixture = fixture();
    let storage = fixture.storage();
    let missing: StorageUri = fixture.uri("inputs/none");
    let missing = || {
        [
            fixture.run(storage.info(&missing)).unwrap_err(),
            fixture.run(storage.read(&missing, 1)).unwrap_err(),
        ]
    };
    for error in missing() {
        assert!(
            matches!(error, StorageError::NoSuchObject { .. }),
            "{error}"
        );
    }
    fixture.fault(Fault::page(Route::AnyS3, 404));
    for error in missing() {
        assert!(matches!(error, StorageError::Foreign { .. }), "{error}");
        assert!(error.is_retryable());
    }
    drop(storage);
    fixture.nothing_is_left_but(&[]);
}
