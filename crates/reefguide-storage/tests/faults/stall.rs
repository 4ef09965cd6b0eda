//! Servers that say nothing more, and keep the connection.

use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use reefguide_lab::{Fault, Route};
use reefguide_storage::S3Options;

use crate::bench::{Bench, LARGE};
use crate::content::content;
use crate::told::told;

/// How long content may come to a standstill.
const STALL: Duration = Duration::from_millis(500);
/// Longer than any test waits.
const NEVER: Duration = Duration::from_secs(3600);
/// Longer than it takes to notice, and to send anew. The lab notices only then that the sender has hung up.
const LONG: Duration = Duration::from_secs(6);
/// One request, and ranges.
const SIZES: [usize; 2] = [200_000, LARGE];
/// What goes in one request and finds no room between a client and a server that does not read.
const MUCH: usize = 16 << 20;

/// Only the standstill of content ends an attempt.
fn patient(options: &mut S3Options) {
    options.attempt_timeout = NEVER;
    options.operation_timeout = NEVER;
    options.stall_timeout = STALL;
}

/// A server that accepts connections, as the kernel does for it, and neither reads nor answers.
fn deaf() -> (TcpListener, String) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", server.local_addr().unwrap());
    (server, endpoint)
}

/// A file of so much.
fn much(bench: &Bench) -> PathBuf {
    let file = bench.local("sent");
    std::fs::write(&file, content(MUCH)).unwrap();
    file
}

#[test]
fn content_that_stops_coming_is_asked_for_again_from_there() {
    for size in SIZES {
        let bench = Bench::with(patient);
        bench.put("inputs/a", &content(size));
        bench.fault(Fault::slow_pieces(Route::S3Get, NEVER).times(1));
        let (storage, from, to) = (bench.storage(), bench.uri("inputs/a"), bench.local("a"));
        bench.run(async { storage.download_file(&from, &to).await.unwrap() });
        assert!(std::fs::read(&to).unwrap() == content(size));
        drop(storage);
        bench.nothing_is_left_but(&["a"]);
    }
}

#[test]
fn content_that_stops_coming_every_time_is_told() {
    for size in SIZES {
        let bench = Bench::with(patient);
        bench.put("inputs/a", &content(size));
        bench.fault(Fault::slow_pieces(Route::S3Get, NEVER));
        let (from, to) = (bench.uri("inputs/a"), bench.local("a"));
        let what = "nothing of its content came for 500ms";
        let tried = told(&bench, ("read", "inputs/a"), what, 4, || {
            bench.run(async { bench.storage().download_file(&from, &to).await })
        });
        assert!(tried.elapsed >= STALL * 4, "{tried}");
        bench.nothing_is_left_but(&[]);
    }
}

#[test]
fn a_server_that_stops_reading_is_told() {
    let (server, endpoint) = deaf();
    let bench = Bench::with(|options| {
        patient(options);
        options.endpoint = Some(endpoint);
    });
    let (sent, to) = (much(&bench), bench.uri("results/a"));
    let what = "cannot be reached";
    let tried = told(&bench, ("store", "results/a"), what, 4, || {
        bench.run(async { bench.storage().upload_file(&sent, &to).await })
    });
    assert!(tried.elapsed >= STALL * 4, "{tried}");
    drop(server);
    bench.nothing_is_left_but(&["sent"]);
}

#[test]
fn a_server_that_stops_reading_what_is_in_memory_is_told() {
    // The connection has all of it at once, so nothing stands still that could be seen.
    let (server, endpoint) = deaf();
    let bench = Bench::with(|options| {
        options.attempt_timeout = STALL;
        options.endpoint = Some(endpoint);
    });
    let to = bench.uri("results/a");
    let what = "did not answer in time";
    told(&bench, ("store", "results/a"), what, 4, || {
        bench.run(async { bench.storage().upload_bytes(content(MUCH), &to).await })
    });
    drop(server);
    bench.nothing_is_left_but(&[]);
}

#[test]
fn a_server_that_stops_reading_once_is_sent_the_content_again() {
    let bench = Bench::with(patient);
    bench.fault(Fault::delay(Route::S3Put, LONG).times(1));
    let (sent, to) = (much(&bench), bench.uri("results/a"));
    let since = Instant::now();
    bench.run(async { bench.storage().upload_file(&sent, &to).await.unwrap() });
    let took = since.elapsed();
    assert!(took < LONG, "it waited for the server: {took:?}");
    assert!(bench.lab.faults().fired() > 0, "nothing was struck");
    assert!(bench.stored("results/a") == Some(content(MUCH)));
    bench.nothing_is_left_but(&["sent"]);
}
