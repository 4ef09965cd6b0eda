//! What the worker counts, for Prometheus.
//!
//! Runtime, storage and source count; the health server answers `/metrics` with it. The names and
//! what they mean are in the book's chapter "Metrics".

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
use prometheus_client::registry::{Metric, Registry};
use reefguide_storage::StorageObservers;
use reefguide_transport::TransferObserver;
use reefguide_transport::retry::RetryObserver;

pub(crate) use self::labels::{ClaimEnd, Direction, JobEnd, Operation, PollEnd};
use crate::job::{Job, JobType};
use crate::observe::health::Report;

/// The media type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = prometheus_text::CONTENT_TYPE;

/// From jobs of a moment to those that use up the longest lease.
const BUCKETS: [f64; 15] = [
    0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0,
];

type Labels<const N: usize> = [(&'static str, String); N];
type Histograms = Family<Labels<1>, Histogram, fn() -> Histogram>;
type Seconds = Gauge<f64, AtomicU64>;

/// A handle on what a worker counts; clones share it. Counting costs some atomic additions, whether
/// anybody reads or not.
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

#[derive(Debug)]
struct Inner {
    registry: Registry,
    jobs: Family<Labels<2>, Counter>,
    job_duration: Histograms,
    job_queue: Histograms,
    polls: Family<Labels<2>, Counter>,
    claims: Family<Labels<2>, Counter>,
    recovered: Counter,
    retries: Family<Labels<1>, Counter>,
    transferred: Vec<Transferred>,
    slots: Gauge,
    slots_taken: Gauge,
    deliveries_pending: Gauge,
    stalls: Counter,
    healthy: Gauge,
    ready: Gauge,
    last_contact: Seconds,
    token_expiry: Seconds,
}

/// What was moved in one direction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transferred {
    pub(crate) bytes: Counter,
    pub(crate) files: Counter,
}

impl Metrics {
    /// Nothing counted yet.
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let all = &mut registry;
        let build: Family<Labels<1>, Gauge> = register(
            all,
            "worker_build_info",
            "Version of the library reefguide-worker; always 1",
            Family::default(),
        );
        let version = env!("CARGO_PKG_VERSION").to_owned();
        build.get_or_create(&[("version", version)]).set(1);
        let histograms = || Histograms::new_with_constructor(|| Histogram::new(BUCKETS));
        let jobs = register(
            all,
            "worker_jobs",
            "Claimed jobs that ended, by how",
            Family::default(),
        );
        let job_duration = register(
            all,
            "worker_job_duration_seconds",
            "Time from a job's claim to its end, the report included, in seconds",
            histograms(),
        );
        let job_queue = register(
            all,
            "worker_job_queue_seconds",
            "Time from a job's submission to its claim, by the clocks of the API and of the worker, in seconds",
            histograms(),
        );
        let polls = register(
            all,
            "worker_polls",
            "Polls: jobs were offered, there was none, or no answer",
            Family::default(),
        );
        let claims = register(
            all,
            "worker_claims",
            "Claims: won, lost to a faster worker, fenced (wasted, as another goes first), unknown or failed",
            Family::default(),
        );
        let recovered = register(
            all,
            "worker_claims_recovered",
            "Claims of dead workers, or left over by this one, that were settled",
            Counter::default(),
        );
        let retries: Family<Labels<1>, Counter> = register(
            all,
            "worker_retries",
            "Tries after the first, by what was tried",
            Family::default(),
        );
        let bytes: Family<Labels<1>, Counter> = register(
            all,
            "worker_transfer_bytes",
            "Bytes moved to and from the storage; those of isolated handlers are not counted",
            Family::default(),
        );
        let files: Family<Labels<1>, Counter> = register(
            all,
            "worker_transfer_files",
            "Files moved to and from the storage; those of isolated handlers are not counted",
            Family::default(),
        );
        let slots = register(all, "worker_slots", "Slots in all", Gauge::default());
        let slots_taken = register(
            all,
            "worker_slots_taken",
            "Slots with a job",
            Gauge::default(),
        );
        let deliveries_pending = register(
            all,
            "worker_deliveries_pending",
            "Jobs that are done and not reported yet",
            Gauge::default(),
        );
        let stalls = register(
            all,
            "worker_async_stalls",
            "Times that nothing ran on the async threads for 10 s",
            Counter::default(),
        );
        let healthy = register(
            all,
            "worker_healthy",
            "Whether /health says so, 1 or 0",
            Gauge::default(),
        );
        let ready = register(
            all,
            "worker_ready",
            "Whether /ready says so, 1 or 0",
            Gauge::default(),
        );
        let last_contact = register(
            all,
            "worker_last_contact_timestamp_seconds",
            "Last successful answer of the API, in seconds since 1970; 0 before the first",
            Seconds::default(),
        );
        let token_expiry = register(
            all,
            "worker_token_expiry_timestamp_seconds",
            "End of the access token, in seconds since 1970; 0 while there is none",
            Seconds::default(),
        );
        registry.register_collector(Box::new(process::Process));

        for operation in Operation::ALL {
            let _ = retries.get_or_create(&[("operation", operation.as_str().to_owned())]);
        }
        let transferred = Direction::ALL.iter().map(|direction| {
            let labels = [("direction", direction.as_str().to_owned())];
            Transferred {
                bytes: bytes.get_or_create_owned(&labels),
                files: files.get_or_create_owned(&labels),
            }
        });
        let transferred = transferred.collect();
        Self(Arc::new(Inner {
            registry,
            jobs,
            job_duration,
            job_queue,
            polls,
            claims,
            recovered,
            retries,
            transferred,
            slots,
            slots_taken,
            deliveries_pending,
            stalls,
            healthy,
            ready,
            last_contact,
            token_expiry,
        }))
    }

    /// Everything in Prometheus's text format, version 0.0.4, together with what `report` says.
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
        // Writing into a string does not fail.
        let _ = prometheus_text::encode(&mut text, &inner.registry);
        text
    }

    /// A worker with so many slots for these job types begins: their series are there from the start,
    /// at 0, so that the first failure is an increase.
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
            // The clocks may differ.
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

    /// The counter of what is tried again.
    pub(crate) fn retries(&self, operation: Operation) -> Counter {
        let labels = [("operation", operation.as_str().to_owned())];
        self.0.retries.get_or_create_owned(&labels)
    }

    /// What counts jobs that are read back again.
    pub fn read_backs(&self) -> impl RetryObserver + use<> {
        Retries(self.retries(Operation::ReadBack))
    }

    /// What counts what a storage does.
    pub fn storage_observers(&self) -> StorageObservers {
        let transferred = |direction| Arc::new(self.0.transferred[direction as usize].clone());
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

/// Counts retries of one operation.
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

fn register<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
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
