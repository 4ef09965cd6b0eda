//! What becomes of processes, seen through a named pipe.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use reefguide_worker::prelude::*;
use tempfile::TempDir;
use tokio::sync::mpsc;

/// No test waits longer than this for anything; it says so instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// Processes of a script as seen through a named pipe: what they write into it, and that all who hold
/// it open are gone.
pub(crate) struct Witness {
    pipe: PathBuf,
    lines: mpsc::UnboundedReceiver<String>,
    _folder: TempDir,
}

impl Witness {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let (sender, lines) = mpsc::unbounded_channel();
        let from = pipe.clone();
        // Nothing waits for this thread: without a writer it stays in `open`.
        std::thread::spawn(move || {
            for line in BufReader::new(std::fs::File::open(from).unwrap()).lines() {
                let _ = sender.send(line.unwrap());
            }
        });
        Self {
            pipe,
            lines,
            _folder: folder,
        }
    }

    /// A script that holds the pipe open as file 9, with all that it starts.
    pub(crate) fn watch(&self, script: &str) -> Program {
        let script = format!("exec 9>'{}'; {script}", self.pipe.display());
        Program::new("sh").args(["-c", &script])
    }

    pub(crate) async fn says(&mut self) -> String {
        self.line().await.unwrap()
    }

    async fn line(&mut self) -> Option<String> {
        let line = tokio::time::timeout(PATIENCE, self.lines.recv());
        line.await.unwrap()
    }

    /// Waits until no process holds the pipe any more; returns what they said until then.
    pub(crate) async fn gone(mut self) -> Vec<String> {
        let mut said = Vec::new();
        while let Some(line) = self.line().await {
            said.push(line);
        }
        said
    }
}
