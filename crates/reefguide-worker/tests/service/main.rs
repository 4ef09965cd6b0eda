//! The `service` room, from outside.
#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails is a test that fails"
)]

mod config;
mod ecs;
mod health;
mod signals;
mod telemetry;

use std::process::{Command, Stdio};

/// The environment variable that tells a test that it is the child of another.
const CHILD: &str = "REEFGUIDE_WORKER_TEST_CHILD";

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// This test program, to run only the test named, as a child with an output of its own.
fn child(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture", "--quiet"])
        .env(CHILD, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}
