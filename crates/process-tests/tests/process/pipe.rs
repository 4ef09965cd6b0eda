//! What becomes of processes, seen through a named pipe that they hold open.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::program::in_time;

/// A named pipe that tells who holds it open.
pub(crate) struct Pipe {
    pub(crate) path: PathBuf,
    lines: mpsc::UnboundedReceiver<String>,
    _folder: TempDir,
}

impl Pipe {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        let (sender, lines) = mpsc::unbounded_channel();
        let from = path.clone();
        // A thread that nobody waits for: without a writer it stays in `open`.
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

    pub(crate) async fn says(&mut self, line: &str) {
        assert_eq!(in_time(self.lines.recv()).await.as_deref(), Some(line));
    }

    /// Waits until nobody holds it any more.
    pub(crate) async fn let_go(mut self) {
        assert_eq!(in_time(self.lines.recv()).await, None);
    }
}
