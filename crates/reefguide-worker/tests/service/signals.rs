use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use reefguide_worker::service::signals::watch;
use tokio_util::sync::CancellationToken;

use crate::{child, is_child};

const SCRATCH: &str = "REEFGUIDE_WORKER_TEST_SCRATCH";

/// What the child does: it stops as asked when `POLITE` is set, and blocks its only runtime thread
/// otherwise.
#[test]
fn child_that_waits_for_signals() {
    if !is_child() {
        return;
    }
    // A child that nobody ends ends itself, so that its test fails in place of hanging.
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(30));
        std::process::exit(99);
    });
    let scratch = std::env::var_os(SCRATCH).unwrap();
    let stop = CancellationToken::new();
    let signals = watch(stop.clone(), move || fs::remove_dir_all(scratch).unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    println!("watching");
    runtime.block_on(async {
        stop.cancelled().await;
        println!("stopping on {}", signals.first().unwrap());
        if std::env::var_os("POLITE").is_none() {
            loop {
                std::thread::park();
            }
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

fn start(scratch: &Path, polite: bool) -> (Killed, impl FnMut(&str)) {
    let mut command = child("signals::child_that_waits_for_signals");
    command.env(SCRATCH, scratch);
    if polite {
        command.env("POLITE", "1");
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
    for (signal, name) in [("TERM", "SIGTERM"), ("INT", "SIGINT")] {
        let (mut child, mut wait_for) = start(scratch.path(), true);
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
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let scratch = tempfile::tempdir().unwrap();
        let (mut child, mut wait_for) = start(scratch.path(), false);
        wait_for("watching");
        send("TERM", &child);
        wait_for("stopping on SIGTERM");
        send(signal, &child);
        assert_eq!(child.0.wait().unwrap().code(), Some(code));
        assert!(!scratch.path().exists());
    }
}
