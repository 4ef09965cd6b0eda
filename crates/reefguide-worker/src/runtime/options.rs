//! How a worker runs.

use std::path::PathBuf;
use std::time::Duration;

use crate::retry::RetryPolicy;

/// How a worker runs; the defaults suit a worker on ECS Fargate.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RunOptions {
    /// How many jobs run at the same time; 1.
    pub slots: usize,
    /// The wait between polls that found nothing, of which a random half is used as jitter; 2 s.
    pub poll_interval: Duration,
    /// The worker stops after this long without a job; 5 minutes. `None`: never.
    pub idle_timeout: Option<Duration>,
    /// What a shutdown may take in all; 25 s, since ECS kills after 30.
    pub shutdown_grace: Duration,
    /// How long before its lease ends an attempt is ended, so that there is time to report; 30 s.
    pub deadline_margin: Duration,
    /// How often the source is asked whether it still waits for a running job, a quarter more or less; 30 s.
    /// `None`: never, and a job is run and reported whatever has become of it.
    pub watch_interval: Option<Duration>,
    /// How often a handler whose error is retryable is tried within one attempt at the job; 3 times.
    pub handler_retry: RetryPolicy,
    /// Where scratch folders are made; the system's folder for temporary files.
    pub scratch: PathBuf,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            slots: 1,
            poll_interval: Duration::from_secs(2),
            idle_timeout: Some(Duration::from_secs(300)),
            shutdown_grace: Duration::from_secs(25),
            deadline_margin: Duration::from_secs(30),
            watch_interval: Some(Duration::from_secs(30)),
            handler_retry: RetryPolicy::new(Duration::from_secs(2)).tries(3),
            scratch: std::env::temp_dir(),
        }
    }
}
