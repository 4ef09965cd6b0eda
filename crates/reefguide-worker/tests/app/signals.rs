use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use reefguide_worker::app::signals::watch;
use tokio_util::sync::CancellationToken;

use crate::{Unread, child, is_child, stuck};

const SCRATCH: &str = "REEFGUIDE_WORKER_TEST_SCRATCH";

/// What the child does: it stops as asked when `POLITE` is set, and blocks its only runtime thread
/// otherwise. With `STUCK` it never returns from logging or from cleaning up either.
#[test]
fn child_that_waits_for_signals() {
    if !is_child() {
        return;
    }
    // A child that is not ended in time ends itself, so that its test fails instead of hanging.
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(30));
        std::process::exit(99);
    });
    let scratch = std::env::var_os(SCRATCH).unwrap();
    let stop = CancellationToken::new();
    let is_stuck = std::env::var_os("STUCK").is_some();
    if is_stuck {
        Unread::log();
    }
    let clean_up = move || {
        fs::remove_dir_all(scratch).unwrap();
        if is_stuck {
            stuck();
        }
    };
    let signals = watch(stop.clone(), clean_up).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    println!("watching");
    runtime.block_on(async {
        stop.cancelled().await;
        println!("stopping on {}", signals.first().unwrap());
        if std::env::var_os("POLITE").is_none() {
            stuck();
        }
    });
}

/// Leaves no process behind when a test fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(scratch: &Path, how: Option<&str>) -> (Killed, impl FnMut(&str)) {
    let mut command = child("signals::child_that_waits_for_signals");
    command.env(SCRATCH, scratch);
    if let Some(how) = how {
        command.env(how, "1");
    }
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let wait_for = move |text: &str| {
        assert!(
            lines.any(|line| line.unwrap().contains(text)),
            "no {text:?}"
        );
    };
    (Killed(child), wait_for)
}

fn send(signal: &str, child: &Killed) {
    let kill = format!("kill -{signal} {}", child.0.id());
    assert!(
        Command::new("sh")
            .args(["-c", &kill])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn the_first_signal_cancels_and_says_which_it_was() {
    let scratch = tempfile::tempdir().unwrap();
    for (signal, name) in [("TERM", "SIGTERM"), ("INT", "SIGINT"), ("HUP", "SIGHUP")] {
        let (mut child, mut wait_for) = start(scratch.path(), Some("POLITE"));
        wait_for("watching");
        send(signal, &child);
        wait_for(&format!("stopping on {name}"));
        assert_eq!(child.0.wait().unwrap().code(), Some(0));
    }
    assert!(
        scratch.path().exists(),
        "a polite end leaves the cleaning to the worker"
    );
}

#[test]
fn the_second_signal_cleans_up_and_ends_a_process_whose_runtime_is_blocked() {
    for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let scratch = tempfile::tempdir().unwrap();
        let (mut child, mut wait_for) = start(scratch.path(), None);
        wait_for("watching");
        send("TERM", &child);
        wait_for("stopping on SIGTERM");
        send(signal, &child);
        assert_eq!(child.0.wait().unwrap().code(), Some(code));
        assert!(!scratch.path().exists());
    }
}

#[test]
fn neither_logging_nor_cleaning_up_holds_up_the_end() {
    for third in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let scratch = folder.path().join("scratch");
        fs::create_dir(&scratch).unwrap();
        let (mut child, mut wait_for) = start(&scratch, Some("STUCK"));
        wait_for("watching");
        send("TERM", &child);
        wait_for("stopping on SIGTERM");
        send("INT", &child);
        let second = Instant::now();
        if third {
            // Two signals of a kind at once are one.
            while scratch.exists() {
                std::thread::sleep(Duration::from_millis(10));
            }
            send("TERM", &child);
        }
        assert_eq!(child.0.wait().unwrap().code(), Some(130));
        let limit = if third { 3 } else { 10 };
        assert!(second.elapsed() < Duration::from_secs(limit));
    }
}
