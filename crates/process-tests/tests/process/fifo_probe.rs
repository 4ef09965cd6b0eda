//! Whether processes still run, seen by a named pipe that they hold open.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc;

/// The longest that a test waits for a line, or for the end of the processes.
const PATIENCE: Duration = Duration::from_secs(60);

/// The reading end of a named pipe, which is closed once no process holds the writing end.
pub(crate) struct FifoProbe {
    pub(crate) path: PathBuf,
    lines: mpsc::UnboundedReceiver<String>,
    _folder: TempDir,
}

impl FifoProbe {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let (sender, lines) = mpsc::unbounded_channel();
        let from = path.clone();
        // Detached: without a writer it stays in `open`.
        std::thread::spawn(move || {
            for line in BufReader::new(std::fs::File::open(from).unwrap()).lines() {
                let _ = sender.send(line.unwrap());
            }
        });
        Self {
            path,
            lines,
            _folder: folder,
        }
    }

    /// Waits for the next line, which has to be this one.
    pub(crate) async fn receives(&mut self, line: &str) {
        assert_eq!(self.next().await.as_deref(), Some(line));
    }

    /// Waits until no process holds it open.
    pub(crate) async fn released(mut self) {
        assert_eq!(self.next().await, None);
    }

    async fn next(&mut self) -> Option<String> {
        let line = tokio::time::timeout(PATIENCE, self.lines.recv());
        line.await.unwrap()
    }
}
