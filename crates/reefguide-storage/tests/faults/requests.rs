//! Faults of requests without content, and servers that are unreachable or reject the credentials.

use std::net::TcpListener;
use std::time::Duration;

use reefguide_lab::{Fault, Route};

use crate::failure::expect_failure;
use crate::fixture::Fixture;

/// Every request without content must fail with `what`.
fn all_fail(fixture: &Fixture, what: &str, tries: u32) {
    let (storage, a, folder) = (fixture.storage(), fixture.uri("p/a"), fixture.uri("p"));
    // The answer to `HEAD` has no body with a code.
    let no_code = if what == "SlowDown" { "503" } else { what };
    expect_failure(fixture, ("inspect", "p/a"), no_code, tries, || {
        fixture.run(storage.info(&a))
    });
    expect_failure(fixture, ("list", "p"), what, tries, || {
        fixture.run(storage.list(&folder))
    });
    expect_failure(fixture, ("delete", "p/a"), what, tries, || {
        fixture.run(storage.delete(&a))
    });
    expect_failure(fixture, ("list", ""), what, tries, || {
        fixture.run(storage.probe(fixture.lab.bucket()))
    });
}

#[test]
fn a_server_that_always_asks_to_slow_down_is_reported() {
    let fixture = Fixture::new();
    fixture.fault(Fault::status(Route::AnyS3, 503));
    all_fail(&fixture, "SlowDown", 4);
    fixture.nothing_is_left_but(&[]);
}

#[test]
fn access_that_is_denied_is_reported_at_once() {
    let fixture = Fixture::new();
    fixture.fault(Fault::status(Route::AnyS3, 403));
    all_fail(&fixture, "access denied (", 1);
    fixture.nothing_is_left_but(&[]);
}

#[test]
fn a_server_that_is_not_there_is_reported() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let fixture = Fixture::with(|options| options.endpoint = Some(format!("http://{address}")));
    all_fail(&fixture, "cannot be reached (", 4);
    fixture.nothing_is_left_but(&[]);
}

#[test]
fn keys_that_the_server_refuses_are_reported_at_once() {
    let fixture = Fixture::with(|options| {
        let credentials = options.credentials.as_mut().unwrap();
        credentials.secret_key = "another-secret".into();
    });
    let (storage, a) = (fixture.storage(), fixture.uri("p/a"));
    let what = "refuses the credentials (SignatureDoesNotMatch, 1 try in ";
    expect_failure(&fixture, ("read", "p/a"), what, 1, || {
        fixture.run(storage.read(&a, 1))
    });
    drop(storage);
    fixture.nothing_is_left_but(&[]);
}

#[test]
fn a_server_that_takes_connections_and_never_answers_is_reported() {
    // The kernel accepts the connections.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let fixture = Fixture::with(|options| {
        options.endpoint = Some(endpoint);
        options.try_timeout = Duration::from_millis(200);
    });
    all_fail(&fixture, "did not answer in time", 4);
    drop(silent);
    fixture.nothing_is_left_but(&[]);
}
