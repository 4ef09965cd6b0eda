//! The worker's metrics, for Prometheus.
//!
//! The runtime, the storage and the source count events; the health server serves the metrics at `/metrics`. The book's
//! page "Metrics" lists their names and meanings.

mod labels;
mod process;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use reefguide_storage::StorageObservers;
use reefguide_transport::TransferObserver;
use reefguide_transport::retry::RetryObserver;

pub(crate) use self::labels::{ClaimEnd, Direction, JobEnd, Operation, PollEnd};
use crate::job::{Job, JobType};
use crate::observe::health::Report;

/// The media type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// In seconds: from the shortest jobs to those that last as long as the longest lease.
const BUCKETS: [f64; 15] = [
    0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0,
];

type Labels<const N: usize> = [(&'static str, String); N];
type Histograms = Family<Labels<1>, Histogram, fn() -> Histogram>;
type Seconds = Gauge<f64, AtomicU64>;

/// A handle on a worker's metrics; clones share them. To count an event costs a few atomic additions.
///
/// ```
/// use reefguide_worker::observe::health::Health;
/// use reefguide_worker::observe::metrics::Metrics;
///
/// let (health, metrics) = (Health::new(2), Metrics::new());
/// let text = metrics.text(&health.report());
/// assert!(text.contains("\nworker_deliveries_pending 0\n"));
/// ```
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Inner>);

/// The metrics: for each its field, type and first value, and then its name and help.
macro_rules! metrics {
    ($($field:ident: $Metric:ty = $value:expr, $name:literal, $help:literal;)+) => {
        #[derive(Debug)]
        struct Inner {
            registry: Registry,
            $($field: $Metric,)+
        }

        impl Inner {
            fn new() -> Self {
                let mut registry = Registry::default();
                $(
                    let $field: $Metric = $value;
                    registry.register($name, $help, $field.clone());
                )+
                registry.register_collector(Box::new(process::Process));
                Self { registry, $($field,)+ }
            }
        }
    };
}

metrics! {
    build: Family<Labels<1>, Gauge> = Family::default(), "worker_build_info",
        "Version of the library reefguide-worker; always 1";
    jobs: Family<Labels<2>, Counter> = Family::default(), "worker_jobs",
        "Claimed jobs that ended, by outcome";
    job_duration: Histograms = histograms(), "worker_job_duration_seconds",
        "Time from a job's claim to its end, the report included, in seconds";
    job_queue: Histograms = histograms(), "worker_job_queue_seconds",
        "Time from a job's submission to its claim, by the clocks of the API and of the worker, in seconds";
    polls: Family<Labels<2>, Counter> = Family::default(), "worker_polls",
        "Polls: jobs were offered, there were none, or there was no answer";
    claims: Family<Labels<2>, Counter> = Family::default(), "worker_claims",
        "Claims: won, lost to a faster worker, fenced (wasted, because another worker has a lower assignment), unknown or failed";
    recovered: Counter = Counter::default(), "worker_claims_recovered",
        "Claims of dead workers, or left over by this one, that were resolved";
    retries: Family<Labels<1>, Counter> = Family::default(), "worker_retries",
        "Tries after the first, by operation";
    bytes: Family<Labels<1>, Counter> = Family::default(), "worker_transfer_bytes",
        "Bytes moved to and from the storage; those of isolated handlers are not counted";
    files: Family<Labels<1>, Counter> = Family::default(), "worker_transfer_files",
        "Files moved to and from the storage; those of isolated handlers are not counted";
    slots: Gauge = Gauge::default(), "worker_slots",
        "All slots";
    slots_taken: Gauge = Gauge::default(), "worker_slots_taken",
        "Slots with a job";
    deliveries_pending: Gauge = Gauge::default(), "worker_deliveries_pending",
        "Jobs that have ended and are not reported yet";
    stalls: Counter = Counter::default(), "worker_async_stalls",
        "Times that the async threads were blocked for 10 s";
    healthy: Gauge = Gauge::default(), "worker_healthy",
        "1 if /health answers that the worker is healthy, otherwise 0";
    ready: Gauge = Gauge::default(), "worker_ready",
        "1 if /ready answers that the worker is ready, otherwise 0";
    last_contact: Seconds = Seconds::default(), "worker_last_contact_timestamp_seconds",
        "Last successful answer of the API, in seconds since 1970; 0 before the first";
    token_expiry: Seconds = Seconds::default(), "worker_token_expiry_timestamp_seconds",
        "End of the access token, in seconds since 1970; 0 while there is none";
}

/// The transfers in one direction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transferred {
    pub(crate) bytes: Counter,
    pub(crate) files: Counter,
}

impl Inner {
    fn transferred(&self, direction: Direction) -> Transferred {
        let labels = [("direction", direction.as_str().to_owned())];
        Transferred {
            bytes: self.bytes.get_or_create_owned(&labels),
            files: self.files.get_or_create_owned(&labels),
        }
    }
}

impl Metrics {
    /// Metrics without a count yet.
    pub fn new() -> Self {
        let inner = Inner::new();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        inner.build.get_or_create(&[("version", version)]).set(1);
        for operation in Operation::ALL {
            let _ = inner.retries.get_or_create(&of_operation(*operation));
        }
        for direction in Direction::ALL {
            let _ = inner.transferred(*direction);
        }
        Self(Arc::new(inner))
    }

    /// All metrics in Prometheus's text format, version 0.0.4, including those from `report`.
    pub fn text(&self, report: &Report) -> String {
        let inner = &*self.0;
        let count = |number| i64::try_from(number).unwrap_or(i64::MAX);
        inner.slots_taken.set(count(report.active_jobs));
        inner.deliveries_pending.set(count(report.deliveries));
        inner.healthy.set(report.unhealthy_reason.is_none().into());
        inner.ready.set(report.unready().is_none().into());
        let now = SystemTime::now();
        let now = now.duration_since(SystemTime::UNIX_EPOCH);
        let now = now.unwrap_or_default();
        let ago = |time: Duration| now.saturating_sub(time).as_secs_f64();
        inner
            .last_contact
            .set(report.since_contact.map_or(0.0, ago));
        let end = report.token.map(|token| match token.ended {
            Some(since) => ago(since),
            None => (now + token.left).as_secs_f64(),
        });
        inner.token_expiry.set(end.unwrap_or_default());
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = prometheus_text::encode(&mut text, &inner.registry);
        text
    }

    /// Sets the number of slots and creates the series of these job types at 0, so that the first failure shows as an
    /// increase.
    pub(crate) fn begin(&self, slots: usize, job_types: &[JobType]) {
        let inner = &*self.0;
        inner.slots.set(i64::try_from(slots).unwrap_or(i64::MAX));
        for job_type in job_types {
            for end in JobEnd::ALL {
                let _ = inner.jobs.get_or_create(&ended(job_type, end.as_str()));
            }
            for end in PollEnd::ALL {
                let _ = inner.polls.get_or_create(&ended(job_type, end.as_str()));
            }
            for end in ClaimEnd::ALL {
                let _ = inner.claims.get_or_create(&ended(job_type, end.as_str()));
            }
            let _ = inner.job_duration.get_or_create(&of_type(job_type));
            let _ = inner.job_queue.get_or_create(&of_type(job_type));
        }
    }

    pub(crate) fn polled(&self, job_type: &JobType, end: PollEnd) {
        let labels = ended(job_type, end.as_str());
        self.0.polls.get_or_create(&labels).inc();
    }

    pub(crate) fn claimed(&self, job: &Job, end: ClaimEnd) {
        let inner = &*self.0;
        let labels = ended(&job.job_type, end.as_str());
        inner.claims.get_or_create(&labels).inc();
        if let (ClaimEnd::Won, Some(created)) = (end, job.created_at) {
            let waited = Timestamp::now().duration_since(created).as_secs_f64();
            let queue = inner.job_queue.get_or_create(&of_type(&job.job_type));
            // Negative if the clocks differ.
            queue.observe(waited.max(0.0));
        }
    }

    pub(crate) fn ended(&self, job_type: &JobType, end: JobEnd, took: Duration) {
        let inner = &*self.0;
        inner
            .jobs
            .get_or_create(&ended(job_type, end.as_str()))
            .inc();
        let durations = inner.job_duration.get_or_create(&of_type(job_type));
        durations.observe(took.as_secs_f64());
    }

    pub(crate) fn recovered(&self, claims: u64) {
        self.0.recovered.inc_by(claims);
    }

    /// The counter of an operation's retries.
    pub(crate) fn retries(&self, operation: Operation) -> Counter {
        self.0.retries.get_or_create_owned(&of_operation(operation))
    }

    /// Counts the retries of reading a claimed job back.
    pub fn read_backs(&self) -> impl RetryObserver + use<> {
        Retries(self.retries(Operation::ReadBack))
    }

    /// Count the transfers and retries of a storage.
    pub fn storage_observers(&self) -> StorageObservers {
        let transferred = |direction| Arc::new(self.0.transferred(direction));
        StorageObservers {
            uploads: transferred(Direction::Upload),
            downloads: transferred(Direction::Download),
            retries: Arc::new(Retries(self.retries(Operation::Storage))),
        }
    }

    pub(crate) fn stalled(&self) {
        self.0.stalls.inc();
    }
}

/// Counts the retries of one operation.
#[derive(Debug)]
struct Retries(Counter);

impl RetryObserver for Retries {
    fn tried_again(&self, times: u64) {
        self.0.inc_by(times);
    }
}

impl TransferObserver for Transferred {
    fn moved(&self, bytes: u64) {
        self.bytes.inc_by(bytes);
    }

    fn done(&self) {
        self.files.inc();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn histograms() -> Histograms {
    Histograms::new_with_constructor(|| Histogram::new(BUCKETS))
}

fn of_operation(operation: Operation) -> Labels<1> {
    [("operation", operation.as_str().to_owned())]
}

fn of_type(job_type: &JobType) -> Labels<1> {
    [("job_type", job_type.to_string())]
}

fn ended(job_type: &JobType, end: &str) -> Labels<2> {
    [
        ("job_type", job_type.to_string()),
        ("outcome", end.to_owned()),
    ]
}
