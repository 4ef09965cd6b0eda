//! The example worker: built, started as in a deployment, and stopped as ECS stops it.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use reefguide_lab::Lab;
use serde::Deserialize;
use tokio::process::Command;
use tokio::time::timeout;

use super::jobs::{DEPTH_SUMMARY, TEST};
use super::print::step;
use super::results::shown;
use crate::failure::{Doing, Failure};
use crate::process::Process;

const NAME: &str = "example-worker";
/// How long the worker may take to stop when it has no jobs.
const STOP_WITHIN: Duration = Duration::from_secs(10);
/// How many lines of its log are shown after a failure.
const TAIL: usize = 12;

/// Builds the worker and returns the path of the program.
pub(super) async fn build(scratch: &Path, locked: bool) -> Result<PathBuf, Failure> {
    step("build", format_args!("{NAME}, if it has changed"));
    crate::build::build(NAME, NAME, scratch, locked).await
}

/// The worker's process.
#[derive(Debug)]
pub(super) struct Worker(Process);

impl Worker {
    /// Starts the worker with the environment of a deployment, and nothing from this process's environment.
    pub(super) fn start(
        program: &Path,
        lab: &Lab,
        scratch: &Path,
        log: &Path,
    ) -> Result<Self, Failure> {
        let home = scratch.join("worker");
        std::fs::create_dir_all(&home).doing("creating the worker's folder")?;
        let log = File::create(log).doing(format_args!("creating {}", shown(log)))?;
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(lab.env())
            .env("JOB_TYPES", format!("{TEST},{DEPTH_SUMMARY}"))
            .env("MAX_CONCURRENT_JOBS", "3")
            .env("POLL_INTERVAL_MS", "250")
            // Ends the worker if the demo is killed.
            .env("IDLE_TIMEOUT_MS", "10000")
            .env("DATA_SCRATCH_SPACE", &home)
            .env("HOME", &home)
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            // A folder without a .env or worker.toml that the worker would read.
            .current_dir(&home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        Process::start("the worker", &mut command).map(Self)
    }

    /// Its process id; 0 once it has ended.
    pub(super) fn id(&self) -> u32 {
        self.0.id().unwrap_or_default()
    }

    /// Waits until the worker ends without having been stopped, which is a failure. Cancel safe.
    pub(super) async fn ended_early(&mut self) -> Failure {
        match self.0.wait().await {
            Ok(status) => Failure::new(format!("the worker ended before its jobs did: {status}")),
            Err(failure) => failure,
        }
    }

    /// Stops it with SIGTERM and checks that it exits with 0.
    pub(super) async fn stop(mut self) -> Result<(), Failure> {
        self.0.terminate()?;
        let ended = timeout(STOP_WITHIN, self.0.wait()).await;
        let status = ended.map_err(|_| {
            let limit = STOP_WITHIN.as_secs();
            Failure::new(format!(
                "the worker did not stop within {limit} s of SIGTERM"
            ))
        })??;
        if status.success() {
            Ok(())
        } else {
            Err(Failure::new(format!(
                "the worker stopped on SIGTERM with {status}, not 0"
            )))
        }
    }
}

/// Why jobs failed, by their ids. The reasons are in the worker's log, not in the API.
pub(super) fn failure_reasons(log: &Path) -> Result<HashMap<String, String>, Failure> {
    let text = std::fs::read_to_string(log).doing(format_args!("reading {}", shown(log)))?;
    Ok(reasons(&text))
}

fn reasons(log: &str) -> HashMap<String, String> {
    #[derive(Deserialize)]
    struct Line {
        job_id: String,
        reason: String,
    }
    log.lines()
        .filter_map(|line| serde_json::from_str::<Line>(line).ok())
        .map(|line| (line.job_id, line.reason))
        .collect()
}

/// The last lines of the log; `None` if it is empty or missing.
pub(super) fn tail(log: &Path) -> Option<String> {
    let text = std::fs::read_to_string(log).ok()?;
    let lines: Vec<_> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n");
    (!tail.is_empty()).then_some(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_a_failure_is_found_by_job_id() {
        let log = r#"
{"level":"INFO","message":"job claimed","job_id":"4"}
{"level":"ERROR","message":"job failed","job_id":"4","reason":"bins is 0"}
not JSON at all
"#;
        assert_eq!(
            reasons(log),
            HashMap::from([("4".into(), "bins is 0".into())])
        );
    }

    #[test]
    fn a_log_has_a_tail_only_if_it_has_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("worker.log");
        assert_eq!(tail(&log), None);
        std::fs::write(&log, "").unwrap();
        assert_eq!(tail(&log), None);
        let lines: Vec<_> = (0..40).map(|line| format!("line {line}")).collect();
        std::fs::write(&log, lines.join("\n")).unwrap();
        assert_eq!(tail(&log).unwrap(), lines[40 - TAIL..].join("\n"));
    }
}
