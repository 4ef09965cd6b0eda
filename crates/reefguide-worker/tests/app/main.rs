//! The `app` room, from outside.
#![expect(
    clippy::unwrap_used,
    reason = "a helper that fails is a test that fails"
)]

mod config;
mod ecs;
mod health;
mod signals;
mod telemetry;

use std::io;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// The environment variable that tells a test that it is the child of another.
const CHILD: &str = "REEFGUIDE_WORKER_TEST_CHILD";

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// This test program, to run only the test named, as a child with its own output.
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

/// Never returns.
fn stuck() -> ! {
    loop {
        std::thread::park();
    }
}

/// A log that is not read: to write to it takes for ever.
struct Unread;

impl Unread {
    /// Logs there from now on, in the whole process.
    fn log() {
        let log = tracing_subscriber::fmt().with_writer(|| Self);
        tracing::subscriber::set_global_default(log.finish()).unwrap();
    }
}

impl io::Write for Unread {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        stuck()
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Log lines, kept.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn writer(&self) -> impl Fn() -> Self + Send + Sync + 'static {
        let lines = self.clone();
        move || lines.clone()
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}
