//! How a worker runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::job::JobType;
use crate::observe::job_log::JobLogs;
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
    /// The wait between polls that found nothing, of which up to half is random; 2 s.
    pub poll_interval: Duration,
    /// The worker stops after this long without a job; 5 minutes. `None`: never.
    pub idle_timeout: Option<Duration>,
    /// How long a shutdown may take in all; 25 s, since ECS kills a task after 30.
    pub shutdown_grace: Duration,
    /// How long before the end of its lease an attempt is ended, so that there is time to report; 30 s.
    pub deadline_margin: Duration,
    /// How often the source is asked whether a running job is still wanted, varied by a quarter; 30 s. `None`: never,
    /// so a job is run and reported even if it was cancelled.
    pub watch_interval: Option<Duration>,
    /// How often a handler is called within one attempt at a job while its error is retryable; 3 times.
    pub handler_retry: RetryPolicy,
    /// Options for jobs of one type, in place of those above; none.
    pub types: BTreeMap<JobType, TypeOptions>,
    /// The worker stops after this many jobs. `None`: no limit.
    pub max_jobs: Option<usize>,
    /// The worker stops when there is no further job; no.
    pub drain: bool,
    /// The folder of the records of claims, from which the claims of dead workers are resolved. It must be outside
    /// the locations where jobs store outputs. `None`: a job whose worker dies gets no result.
    pub records: Option<StorageUri>,
    /// How often the record of a claim is renewed, and the records of other workers are swept; 30 s. A worker counts
    /// as dead after five intervals without a renewal.
    pub record_interval: Duration,
    /// Whether and where the log of each job is stored; nowhere.
    pub job_logs: JobLogs,
    /// Where scratch folders are made; the system's folder for temporary files.
    pub scratch: PathBuf,
}

/// How jobs of one type run. It takes precedence over the options for all types and over the type's handler.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TypeOptions {
    /// How many of them run at the same time at most, out of the total number of slots. `None`: as many as there are
    /// slots.
    pub slots: Option<usize>,
    /// How long one of them may take from its claim to the end of its handler, all calls together. The lease limits it
    /// as well. `None`: as its [handler](crate::handler::JobHandler::time_limit) says.
    pub time_limit: Option<Duration>,
    /// How often and how far apart its handler is called while its error is retryable. `None`: as its
    /// [handler](crate::handler::JobHandler::retry) says, or else [`RunOptions::handler_retry`].
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
    /// Sets the options of one job type, see [`types`](Self::types).
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

/// The system's folder for temporary files. An empty `TMPDIR` counts as not set, rather than as the current folder.
pub(crate) fn temporary_folder() -> PathBuf {
    let folder = std::env::temp_dir();
    match folder.as_os_str().is_empty() {
        true => "/tmp".into(),
        false => folder,
    }
}
