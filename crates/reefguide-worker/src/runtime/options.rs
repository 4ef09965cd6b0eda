//! How a worker runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::job::JobType;
use crate::retry::RetryPolicy;
use crate::storage::StorageUri;

/// How a worker runs; the defaults suit a worker on ECS Fargate.
///
/// ```
/// use std::time::Duration;
///
/// use reefguide_worker::runtime::{RunOptions, TypeOptions};
///
/// let options = RunOptions::default()
///     .with_slots(4)
///     .with_idle_timeout(None)
///     .with_type("SIMULATE", TypeOptions::default().with_time_limit(Duration::from_secs(3600)));
/// assert_eq!(options.slots, 4);
/// ```
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
    /// What is different for jobs of one type; nothing.
    pub types: BTreeMap<JobType, TypeOptions>,
    /// The worker stops after so many jobs. `None`: never for this reason.
    pub max_jobs: Option<usize>,
    /// The worker stops when there is no further job; no.
    pub drain: bool,
    /// The folder of the records of claims, by which the claims of workers that died are settled. It
    /// must be outside of what jobs store. `None`: a job whose worker dies is left hanging.
    pub records: Option<StorageUri>,
    /// How often the record of a claim is renewed, and records of others are looked at; 30 s. After five
    /// times as long without a renewal a worker counts as dead.
    pub record_interval: Duration,
    /// Whether and where the log of each job is stored; it is not.
    pub job_logs: JobLogs,
    /// Where scratch folders are made; the system's folder for temporary files.
    pub scratch: PathBuf,
}

/// Where the log of each job is stored, by itself: the lines that are logged while it runs, one JSON object a line.
///
/// It is stored before the job is reported, whether that has succeeded or failed; never when the claim or the lease
/// has ended. That it cannot be stored is a warning, and fails no job. The beginning is kept, 10 MiB at the most,
/// and of the rest the last 256 KiB.
///
/// A program that sets up logging itself has to install what
/// [`telemetry::subscriber`](crate::app::telemetry::subscriber) returns; with another subscriber there are no
/// such logs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobLogs {
    /// Nowhere.
    #[default]
    Off,
    /// As `job-log.jsonl` with the job's outputs, for its users to see; not if an output has that name, or if there
    /// are as many outputs as users can be shown.
    Outputs,
    /// As `{job id}/{assignment id}.jsonl` in this folder.
    Folder(StorageUri),
}

/// How jobs of one type run, in place of what is said for all types or by the type's handler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TypeOptions {
    /// How many of them run at the same time, at the most; of the total number of slots. `None`: as many as there
    /// are slots.
    pub slots: Option<usize>,
    /// How long one of them may take from its claim to the end of its handler, all tries together. The
    /// lease limits it as well. `None`: as its [handler](crate::handler::JobHandler::time_limit) says.
    pub time_limit: Option<Duration>,
    /// How often and how far apart its handler is tried when its error is retryable. `None`: as its
    /// [handler](crate::handler::JobHandler::retry) says, or else as for all types.
    pub retry: Option<RetryPolicy>,
}

/// Methods that set one option each.
macro_rules! with_options {
    ($Options:ty: $($method:ident($option:ident: $Value:ty) $value:expr;)+) => {
        impl $Options {
            $(
                #[doc = concat!("Sets [`", stringify!($option), "`](Self::", stringify!($option), ").")]
                #[must_use]
                pub fn $method(mut self, $option: $Value) -> Self {
                    self.$option = $value;
                    self
                }
            )+
        }
    };
}

with_options! { RunOptions:
    with_slots(slots: usize) slots;
    with_poll_interval(poll_interval: Duration) poll_interval;
    with_idle_timeout(idle_timeout: Option<Duration>) idle_timeout;
    with_shutdown_grace(shutdown_grace: Duration) shutdown_grace;
    with_deadline_margin(deadline_margin: Duration) deadline_margin;
    with_watch_interval(watch_interval: Option<Duration>) watch_interval;
    with_handler_retry(handler_retry: RetryPolicy) handler_retry;
    with_max_jobs(max_jobs: Option<usize>) max_jobs;
    with_drain(drain: bool) drain;
    with_records(records: Option<StorageUri>) records;
    with_record_interval(record_interval: Duration) record_interval;
    with_job_logs(job_logs: JobLogs) job_logs;
    with_scratch(scratch: impl Into<PathBuf>) scratch.into();
}

with_options! { TypeOptions:
    with_slots(slots: usize) Some(slots);
    with_time_limit(time_limit: Duration) Some(time_limit);
    with_retry(retry: RetryPolicy) Some(retry);
}

impl RunOptions {
    /// Sets what is different for jobs of one type, see [`types`](Self::types).
    #[must_use]
    pub fn with_type(mut self, job_type: impl Into<JobType>, options: TypeOptions) -> Self {
        self.types.insert(job_type.into(), options);
        self
    }

    pub(super) fn of(&self, job_type: &JobType) -> TypeOptions {
        self.types.get(job_type).cloned().unwrap_or_default()
    }

    pub(super) fn retry_of(&self, job_type: &JobType) -> RetryPolicy {
        self.of(job_type).retry.unwrap_or(self.handler_retry)
    }
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
            types: BTreeMap::new(),
            max_jobs: None,
            drain: false,
            records: None,
            record_interval: Duration::from_secs(30),
            job_logs: JobLogs::Off,
            scratch: temporary_folder(),
        }
    }
}

/// The system's folder for temporary files. An empty `TMPDIR` is none, and not the current folder.
pub(crate) fn temporary_folder() -> PathBuf {
    let folder = std::env::temp_dir();
    match folder.as_os_str().is_empty() {
        true => "/tmp".into(),
        false => folder,
    }
}
