//! The command as a process.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};

pub(crate) const COMMAND: &str = env!("CARGO_BIN_EXE_reefguide-lab");

/// A lab on free ports, in a process that stops with the test.
pub(crate) struct LabProcess {
    pub(crate) child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    pub(crate) endpoint: String,
}

impl LabProcess {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &std::env::var("PATH").unwrap())
    }

    pub(crate) fn start_with(arguments: &[&str], path: &str) -> Self {
        let mut child = Command::new(COMMAND)
            .args(["up", "--port", "0", "--s3-port", "0"])
            .args(arguments)
            .env("PATH", path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lab = Self {
            child,
            lines,
            endpoint: String::new(),
        };
        lab.endpoint = lab
            .line_with("API_ENDPOINT=")
            .trim_start_matches("API_ENDPOINT=")
            .to_owned();
        lab
    }

    /// The next line of its output that contains `part`.
    pub(crate) fn line_with(&mut self, part: &str) -> String {
        self.lines
            .by_ref()
            .map(Result::unwrap)
            .find(|line| line.contains(part))
            .unwrap()
    }

    /// Sends a signal by its name and waits until the process ends. Returns whether it succeeded.
    pub(crate) fn stop(&mut self, signal: &str) -> bool {
        let id = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", signal, &id])
            .status()
            .unwrap();
        sent.success() && self.child.wait().unwrap().success()
    }
}

impl Drop for LabProcess {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            // SIGTERM lets it remove its folder.
            self.stop("TERM");
        }
    }
}

/// Runs the command. Returns whether it succeeded, and its output without what differs between systems.
pub(crate) fn run(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(COMMAND)
        .args(arguments)
        .env_remove("API_ENDPOINT")
        .output()
        .unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let tidy = |line: &str| match line.split_once(" (os error ") {
        Some((reason, _)) => format!("{reason} (os error N)"),
        None => line.trim_end().to_owned(),
    };
    (
        output.status.success(),
        text.lines().map(tidy).collect::<Vec<_>>().join("\n"),
    )
}
