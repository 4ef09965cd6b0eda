//! The metrics, as a scrape shows them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use reefguide_lab::{Fault, Lab, Route};
use reefguide_worker::app::health::Monitor;
use reefguide_worker::observe::health::Health;
use reefguide_worker::observe::metrics::{CONTENT_TYPE, Metrics};
use reefguide_worker::prelude::*;
use reefguide_worker::retry::RetryPolicy;
use reefguide_worker::runtime::WorkerBuilder;
use reefguide_worker::source::reefguide::ReefGuideBuilder;
use serde_json::Value;

use crate::exposition::Scrape;
use crate::fixture::{Fixture, Running, in_time};

const PAGE: &str = include_str!("../../../../docs/src/reference/metrics.md");
const TROUBLESHOOTING: &str = include_str!("../../../../docs/src/how-to/troubleshooting.md");

/// A worker whose metrics are served.
struct Served {
    fixture: Fixture,
    url: String,
    health: Health,
    metrics: Metrics,
    _monitor: Monitor,
}

impl Served {
    async fn start() -> Self {
        let fixture = Fixture::with(Lab::builder().any_job_type()).await;
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/metrics", listener.local_addr().unwrap());
        let (health, metrics) = (Health::new(3), Metrics::new());
        let monitor = Monitor::start(Some(listener), health.clone(), metrics.clone()).unwrap();
        Self {
            fixture,
            url,
            health,
            metrics,
            _monitor: monitor,
        }
    }

    fn worker(&self) -> WorkerBuilder {
        let mut options = self.fixture.options();
        options.slots = 3;
        options.handler_retry = RetryPolicy::new(Duration::from_millis(1));
        let worker = self.fixture.worker();
        worker
            .source(self.source().build())
            .options(options)
            .health(self.health.clone())
            .metrics(self.metrics.clone())
    }

    fn source(&self) -> ReefGuideBuilder {
        self.fixture
            .source()
            .retry_observer(self.metrics.read_backs())
    }

    async fn scrape(&self) -> Scrape {
        let response = reqwest::get(&self.url).await.unwrap();
        assert_eq!(response.headers()["content-type"], CONTENT_TYPE);
        Scrape::parse(&response.text().await.unwrap())
    }

    /// Scrapes until a metric without labels has a value.
    async fn until(&self, name: &str, value: f64) {
        let scraping = async {
            while self.scrape().await.value(name, &[]) != value {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        in_time(scraping).await;
    }
}

#[tokio::test]
async fn a_scrape_counts_jobs_retries_and_transfers() {
    let served = Served::start().await;
    let faults = served.fixture.lab.faults();
    faults.add(Fault::status(Route::Poll, 500).times(1));
    faults.add(Fault::status(Route::Job, 500).times(1));
    // The record of the claim is stored first.
    faults.add(Fault::status(Route::S3Put, 503).after(2).times(2));
    let not_delivered = faults.add(Fault::status(Route::Result, 500));
    let worker = served.worker();
    let worker = worker
        .handler_fn("GOOD", |_: Value, ctx: JobContext| async move {
            if ctx.attempt() == 1 {
                return Err(JobError::retryable("not yet"));
            }
            ctx.outputs().write("a.txt", "0123456789").await?;
            ctx.outputs().write("b.txt", "01234").await?;
            let stored = ctx.assignment().storage_uri.parse::<StorageUri>()?;
            let input = stored.join("input")?;
            ctx.storage().upload_bytes("0123456", &input).await?;
            let scratch = ctx.scratch().join("input");
            ctx.storage().download_file(&input, &scratch).await?;
            Ok(json!({}))
        })
        .handler_fn("BAD", |_: Value, _| async {
            Err::<(), _>(JobError::permanent("no"))
        });
    let good = served.fixture.submit("GOOD", json!({}));
    let worker = Running::start(worker);

    served.until("worker_deliveries_pending", 1.0).await;
    let scrape = served.scrape().await;
    assert_eq!(scrape.value("worker_slots", &[]), 3.0);
    assert_eq!(scrape.value("worker_slots_taken", &[]), 1.0);
    assert_eq!(scrape.value("worker_ready", &[]), 1.0);
    faults.remove(not_delivered);
    assert_eq!(served.fixture.ended(good).await, "SUCCEEDED");
    let bad = served.fixture.submit("BAD", json!({}));
    assert_eq!(served.fixture.ended(bad).await, "FAILED");
    let stopped = worker.stop().await;
    assert_eq!((stopped.jobs.succeeded, stopped.jobs.failed), (1, 1));

    let scrape = served.scrape().await;
    for (job_type, outcome, jobs) in [
        ("GOOD", "succeeded", 1.0),
        ("GOOD", "failed", 0.0),
        ("BAD", "succeeded", 0.0),
        ("BAD", "failed", 1.0),
    ] {
        let labels = [("job_type", job_type), ("outcome", outcome)];
        assert_eq!(
            scrape.value("worker_jobs_total", &labels),
            jobs,
            "{labels:?}"
        );
    }
    for job_type in ["GOOD", "BAD"] {
        let of_type = [("job_type", job_type)];
        let once = |name| assert_eq!(scrape.value(name, &of_type), 1.0, "{name} {job_type}");
        once("worker_job_duration_seconds_count");
        once("worker_job_queue_seconds_count");
        let outcome = |outcome| [("job_type", job_type), ("outcome", outcome)];
        assert_eq!(scrape.value("worker_claims_total", &outcome("won")), 1.0);
        assert_eq!(scrape.value("worker_polls_total", &outcome("offered")), 1.0);
        assert!(scrape.value("worker_polls_total", &outcome("empty")) >= 1.0);
    }
    let took = scrape.value("worker_job_duration_seconds_sum", &[("job_type", "GOOD")]);
    assert!(took > 0.0);
    let retries = |operation| scrape.value("worker_retries_total", &[("operation", operation)]);
    assert_eq!(retries("poll"), 1.0);
    assert_eq!(retries("read_back"), 1.0);
    assert_eq!(retries("handler"), 1.0);
    assert_eq!(retries("storage"), 2.0);
    assert_eq!(retries("publish"), 0.0);
    assert!(retries("deliver") >= 1.0);
    let moved = |name, direction| scrape.value(name, &[("direction", direction)]);
    assert_eq!(moved("worker_transfer_files_total", "upload"), 3.0);
    assert_eq!(moved("worker_transfer_bytes_total", "upload"), 22.0);
    assert_eq!(moved("worker_transfer_files_total", "download"), 1.0);
    assert_eq!(moved("worker_transfer_bytes_total", "download"), 7.0);
    assert_eq!(scrape.value("worker_deliveries_pending", &[]), 0.0);
    assert_eq!(scrape.value("worker_slots_taken", &[]), 0.0);
    assert_eq!(scrape.value("worker_ready", &[]), 0.0);
    assert!(scrape.value("worker_last_contact_timestamp_seconds", &[]) > 1.7e9);
}

#[tokio::test]
async fn a_scrape_counts_claims_that_other_workers_won() {
    let served = Served::start().await;
    let job = served.fixture.submit("GOOD", json!({}));
    let handler = |_: Value, _| async { Ok(json!({})) };
    // Both claim within the settle delay.
    let settle = Duration::from_millis(500);
    let polled = Fault::delay(Route::Assign, Duration::from_millis(300)).times(2);
    served.fixture.lab.faults().add(polled);
    let workers = [(), ()].map(|()| served.source().settle(settle).build());
    let mut running = Vec::new();
    for source in workers {
        let worker = served.worker().source(source);
        running.push(Running::start(worker.handler_fn("GOOD", handler)));
    }
    assert_eq!(served.fixture.ended(job).await, "SUCCEEDED");
    let mut fenced = 0;
    for worker in running {
        fenced += worker.stop().await.jobs.fenced;
    }
    let scrape = served.scrape().await;
    let claims = |outcome| {
        let labels = [("job_type", "GOOD"), ("outcome", outcome)];
        scrape.value("worker_claims_total", &labels)
    };
    assert_eq!(claims("won"), 1.0);
    assert_eq!(claims("fenced"), fenced as f64);
    assert!(claims("fenced") + claims("lost") >= 1.0);
}

fn table_of_metrics(scrape: &Scrape) -> String {
    let mut table =
        String::from("| metric | type | labels | what it is |\n| --- | --- | --- | --- |\n");
    for (name, family) in &scrape.0 {
        let labels: Vec<_> = family
            .labels()
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let (kind, labels, help) = (&family.kind, labels.join(", "), &family.help);
        let help = help.strip_suffix('.').unwrap();
        let _ = writeln!(table, "| `{name}` | {kind} | {labels} | {help} |");
    }
    table
}

#[tokio::test]
async fn the_page_about_metrics_lists_exactly_the_metrics_that_exist() {
    let served = Served::start().await;
    let worker = served.worker();
    let worker = worker.handler_fn("GOOD", |_: Value, _| async { Ok(json!({})) });
    let _worker = worker.build().unwrap();
    let scrape = served.scrape().await;
    let (before, rest) = PAGE.split_once("<!-- metrics -->\n").unwrap();
    let (found, after) = rest.split_once("<!-- end of metrics -->").unwrap();
    let table = table_of_metrics(&scrape);
    assert!(
        found == table,
        "docs/src/reference/metrics.md is out of date; between its marks must stand:\n\n{table}"
    );
    let samples: BTreeSet<_> = scrape
        .0
        .iter()
        .flat_map(|(name, family)| {
            family
                .samples
                .iter()
                .map(|sample| &*sample.name)
                .chain([&**name])
        })
        .collect();
    let mut named = 0;
    for word in [before, after, TROUBLESHOOTING]
        .concat()
        .split(|letter: char| !letter.is_alphanumeric() && letter != '_')
    {
        if word.starts_with("worker_") || word.starts_with("process_") {
            assert!(
                samples.contains(word),
                "the book names {word}, which is not a metric"
            );
            named += 1;
        }
    }
    assert!(named > 10, "{named} metrics were found in the text");
}

#[tokio::test]
async fn a_scrape_has_the_metrics_of_the_process() {
    let served = Served::start().await;
    let scrape = served.scrape().await;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();
    let started = scrape.value("process_start_time_seconds", &[]);
    assert!(
        started < now + 2.0 && now - started < 86_400.0,
        "{started}, {now}"
    );
    let resident = scrape.value("process_resident_memory_bytes", &[]);
    assert!((1e6..1e10).contains(&resident), "{resident}");
    let open = scrape.value("process_open_fds", &[]);
    let most = scrape.value("process_max_fds", &[]);
    assert!(3.0 < open && open < most, "{open} of {most}");
    let cpu = scrape.value("process_cpu_seconds_total", &[]);
    assert!((0.0..86_400.0).contains(&cpu), "{cpu}");
}
