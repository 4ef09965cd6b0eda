//! One place for a worker: one process after another, as a deployment starts them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use reefguide_lab::Lab;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::plan::Ending;
use crate::failure::{Doing, Failure};
use crate::process::Process;

/// How long a worker may take to end after SIGTERM: more than its grace.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// Between the two signals of [`Ending::Twice`].
const BETWEEN_SIGNALS: Duration = Duration::from_millis(200);
/// After how long a worker that ended by itself is restarted.
const RESTART_DELAY: Duration = Duration::from_millis(500);

/// How to start a worker.
#[derive(Clone, Debug)]
pub(super) struct Start {
    program: PathBuf,
    env: Vec<(&'static str, String)>,
    logs: PathBuf,
    /// For the files that workers write.
    scratch: PathBuf,
}

/// How the processes of one place ended, with counts.
pub(super) type Exits = BTreeMap<String, usize>;

impl Start {
    pub(super) fn new(program: PathBuf, lab: &Lab, logs: &Path, scratch: &Path) -> Self {
        let settings = [
            ("MAX_CONCURRENT_JOBS", "3"),
            ("POLL_INTERVAL_MS", "200"),
            ("CLAIM_SETTLE_MS", "100"),
            ("API_TIMEOUT_MS", "1500"),
            ("SHUTDOWN_GRACE_MS", "8000"),
            ("WATCH_INTERVAL_MS", "1000"),
            ("RECORD_INTERVAL_MS", "1500"),
            ("JOB_TIME_LIMIT_MS", "WORK=6000"),
            ("JOB_RETRY", "WORK=constant:100:3"),
            // Ends the workers if the soak is killed.
            ("IDLE_TIMEOUT_MS", "60000"),
            ("LOG_FORMAT", "json"),
        ];
        let settings = settings.map(|(name, value)| (name, value.to_owned()));
        Self {
            program,
            env: lab.env().into_iter().chain(settings).collect(),
            logs: logs.to_owned(),
            scratch: scratch.join("workers"),
        }
    }

    /// Where the log of a process is.
    fn log(&self, place: usize, nth: usize) -> PathBuf {
        self.logs.join(format!("worker-{place}-{nth:03}.log"))
    }

    /// Starts the `nth` process of a place.
    pub(super) fn process(&self, place: usize, nth: usize) -> Result<Process, Failure> {
        let scratch = self.scratch.join(format!("worker-{place}-{nth:03}"));
        std::fs::create_dir_all(&scratch).doing("making a worker's folder")?;
        let log = self.log(place, nth);
        let log = File::create(&log).doing(format_args!("making {}", log.display()))?;
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env("DATA_SCRATCH_SPACE", &scratch)
            .env("HOME", &scratch)
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .current_dir(&scratch)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        Process::start("a worker", &mut command)
    }

    /// Keeps a worker running at a place, and ends it each time that it receives an ending, until the channel is closed.
    /// Returns how its processes ended.
    pub(super) async fn keep(
        self,
        place: usize,
        mut endings: mpsc::UnboundedReceiver<(Ending, Duration)>,
    ) -> Result<Exits, Failure> {
        let mut exits = Exits::new();
        for nth in 0.. {
            let mut worker = self.process(place, nth)?;
            let (how, restart_after) = tokio::select! {
                ended = worker.wait() => (shown(ended?), RESTART_DELAY),
                received = endings.recv() => match received {
                    Some((ending, restart_after)) => {
                        (format!("{ending:?}: {}", shown(end(&mut worker, ending).await?)), restart_after)
                    }
                    None => {
                        let status = end(&mut worker, Ending::Terminate).await?;
                        *exits.entry(format!("at last: {}", shown(status))).or_default() += 1;
                        break;
                    }
                },
            };
            *exits.entry(how).or_default() += 1;
            sleep(restart_after).await;
        }
        Ok(exits)
    }
}

/// Ends a worker; one that takes too long fails the soak.
pub(super) async fn end(worker: &mut Process, ending: Ending) -> Result<ExitStatus, Failure> {
    match ending {
        Ending::Kill => worker.kill()?,
        Ending::Terminate => worker.terminate()?,
        Ending::Twice => {
            worker.terminate()?;
            if timeout(BETWEEN_SIGNALS, worker.wait()).await.is_err() {
                worker.terminate()?;
            }
        }
    }
    let limit = STOP_TIMEOUT.as_secs();
    let ended = timeout(STOP_TIMEOUT, worker.wait()).await;
    ended.map_err(|_| {
        Failure::new(format!(
            "a worker did not end within {limit} s of {ending:?}"
        ))
    })?
}

fn shown(status: ExitStatus) -> String {
    status.to_string()
}
