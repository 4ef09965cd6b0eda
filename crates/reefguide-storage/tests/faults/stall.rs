//! Servers that stop sending but keep the connection open.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use reefguide_lab::{Fault, Route};
use reefguide_storage::S3Options;

use crate::content::content;
use crate::failure::expect_failure;
use crate::fixture::{Fixture, LARGE};

/// How long content may stall.
const STALL: Duration = Duration::from_millis(500);
/// Longer than any test waits.
const NEVER: Duration = Duration::from_secs(3600);
/// Longer than it takes to notice a stall and to send again. Only then does the lab notice that the sender has hung up.
const LONG: Duration = Duration::from_secs(6);
/// One request, and ranges.
const SIZES: [usize; 2] = [200_000, LARGE];
/// Fits in one request, but not in the buffers between a client and a server that does not read.
const MUCH: usize = 16 << 20;

/// Only a stall ends a try.
fn patient(options: &mut S3Options) {
    options.try_timeout = NEVER;
    options.operation_timeout = NEVER;
    options.stall_timeout = STALL;
}

/// A server whose connections the kernel accepts, and that neither reads nor answers.
fn deaf() -> (TcpListener, String) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", server.local_addr().unwrap());
    (server, endpoint)
}

/// A file of this size.
fn much(fixture: &Fixture) -> PathBuf {
    let file = fixture.local("sent");
    std::fs::write(&file, content(MUCH)).unwrap();
    file
}

#[test]
fn content_that_stalls_is_requested_again_from_there() {
    for size in SIZES {
        let fixture = Fixture::with(patient);
        fixture.put("inputs/a", &content(size));
        fixture.fault(Fault::slow_pieces(Route::S3Get, NEVER).times(1));
        let (storage, from, to) = (
            fixture.storage(),
            fixture.uri("inputs/a"),
            fixture.local("a"),
        );
        fixture.run(async { storage.download_file(&from, &to).await.unwrap() });
        assert!(std::fs::read(&to).unwrap() == content(size));
        drop(storage);
        fixture.nothing_is_left_but(&["a"]);
    }
}

#[test]
fn content_that_always_stalls_is_reported() {
    for size in SIZES {
        let fixture = Fixture::with(patient);
        fixture.put("inputs/a", &content(size));
        fixture.fault(Fault::slow_pieces(Route::S3Get, NEVER));
        let (from, to) = (fixture.uri("inputs/a"), fixture.local("a"));
        let what = "nothing of its content came for 500ms";
        let tried = expect_failure(&fixture, ("read", "inputs/a"), what, 4, || {
            fixture.run(async { fixture.storage().download_file(&from, &to).await })
        });
        assert!(tried.elapsed >= STALL * 4, "{tried}");
        fixture.nothing_is_left_but(&[]);
    }
}

#[test]
fn a_server_that_stops_reading_is_reported() {
    let (server, endpoint) = deaf();
    let fixture = Fixture::with(|options| {
        patient(options);
        options.endpoint = Some(endpoint);
    });
    let (sent, to) = (much(&fixture), fixture.uri("results/a"));
    let what = "cannot be reached";
    let tried = expect_failure(&fixture, ("store", "results/a"), what, 4, || {
        fixture.run(async { fixture.storage().upload_file(&sent, &to).await })
    });
    assert!(tried.elapsed >= STALL * 4, "{tried}");
    drop(server);
    fixture.nothing_is_left_but(&["sent"]);
}

#[test]
fn a_server_that_stops_reading_content_from_memory_is_reported() {
    // The connection takes all of it at once, so the stall cannot be detected.
    let (server, endpoint) = deaf();
    let fixture = Fixture::with(|options| {
        options.try_timeout = STALL;
        options.endpoint = Some(endpoint);
    });
    let to = fixture.uri("results/a");
    let what = "did not answer in time";
    expect_failure(&fixture, ("store", "results/a"), what, 4, || {
        fixture.run(async { fixture.storage().upload_bytes(content(MUCH), &to).await })
    });
    drop(server);
    fixture.nothing_is_left_but(&[]);
}

#[test]
fn after_a_server_stops_reading_once_the_content_is_sent_again() {
    let fixture = Fixture::with(patient);
    fixture.fault(Fault::delay(Route::S3Put, LONG).times(1));
    let (sent, to) = (much(&fixture), fixture.uri("results/a"));
    let since = Instant::now();
    fixture.run(async { fixture.storage().upload_file(&sent, &to).await.unwrap() });
    let took = since.elapsed();
    assert!(took < LONG, "it waited for the server: {took:?}");
    assert!(fixture.lab.faults().fired() > 0, "nothing was struck");
    assert!(fixture.stored("results/a") == Some(content(MUCH)));
    fixture.nothing_is_left_but(&["sent"]);
}
