//! What goes wrong with requests that move no content, and with a server that is not the right one.

use std::net::TcpListener;
use std::time::Duration;

use reefguide_lab::{Fault, Route};

use crate::bench::Bench;
use crate::told::told;

/// Every request that moves no content, each of which has to fail as `what` says.
fn all_told(bench: &Bench, what: &str, attempts: u32) {
    let (storage, a, folder) = (bench.storage(), bench.uri("p/a"), bench.uri("p"));
    // `HEAD` has no body to say more in.
    let no_code = if what == "SlowDown" { "503" } else { what };
    told(bench, ("inspect", "p/a"), no_code, attempts, || {
        bench.run(storage.info(&a))
    });
    told(bench, ("list", "p"), what, attempts, || {
        bench.run(storage.list(&folder))
    });
    told(bench, ("delete", "p/a"), what, attempts, || {
        bench.run(storage.delete(&a))
    });
    told(bench, ("list", ""), what, attempts, || {
        bench.run(storage.probe(bench.lab.bucket()))
    });
}

#[test]
fn a_server_that_always_asks_to_slow_down_is_told() {
    let bench = Bench::new();
    bench.fault(Fault::status(Route::AnyS3, 503));
    all_told(&bench, "SlowDown", 4);
    bench.nothing_is_left_but(&[]);
}

#[test]
fn access_that_is_denied_is_told_at_once() {
    let bench = Bench::new();
    bench.fault(Fault::status(Route::AnyS3, 403));
    all_told(&bench, "access denied (", 1);
    bench.nothing_is_left_but(&[]);
}

#[test]
fn a_server_that_is_not_there_is_told() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = closed.local_addr().unwrap();
    drop(closed);
    let bench = Bench::with(|options| options.endpoint = Some(format!("http://{address}")));
    all_told(&bench, "cannot be reached (", 4);
    bench.nothing_is_left_but(&[]);
}

#[test]
fn keys_that_the_server_refuses_are_told_at_once() {
    let bench = Bench::with(|options| {
        let credentials = options.credentials.as_mut().unwrap();
        credentials.secret_key = "another-secret".into();
    });
    let (storage, a) = (bench.storage(), bench.uri("p/a"));
    let what = "refuses the credentials (SignatureDoesNotMatch, 1 attempt in ";
    told(&bench, ("read", "p/a"), what, 1, || {
        bench.run(storage.read(&a, 1))
    });
    drop(storage);
    bench.nothing_is_left_but(&[]);
}

#[test]
fn a_server_that_takes_connections_and_never_answers_is_told() {
    // The kernel accepts for it.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let bench = Bench::with(|options| {
        options.endpoint = Some(endpoint);
        options.attempt_timeout = Duration::from_millis(200);
    });
    all_told(&bench, "did not answer in time", 4);
    drop(silent);
    bench.nothing_is_left_but(&[]);
}
