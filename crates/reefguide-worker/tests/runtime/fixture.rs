//! A lab, and workers for it.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use reefguide_lab::{Lab, LabBuilder};
use reefguide_worker::app::telemetry::{LogFormat, TelemetryOptions, subscriber};
use reefguide_worker::runtime::{RunOptions, StopReason, Stopped, Worker, WorkerBuilder};
use reefguide_worker::source::reefguide::{Client, ReefGuide, ReefGuideBuilder};
use reefguide_worker::storage::{Storage, StorageUri};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::Dispatch;

use crate::lab_storage;

/// The longest that a test waits for anything. It fails then instead of hanging.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Fixture {
    pub(crate) lab: Lab,
    pub(crate) scratch: TempDir,
}

/// A worker that runs.
pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<Stopped>,
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        Self::with(Lab::builder()).await
    }

    pub(crate) async fn with(builder: LabBuilder) -> Self {
        let lab = builder.login_limit(1_000).start().await.unwrap();
        Self {
            lab,
            scratch: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn client_of(&self, email: &str) -> Client {
        Client::builder(self.lab.api_endpoint(), email, "password")
            .build()
            .unwrap()
    }

    pub(crate) fn source(&self) -> ReefGuideBuilder {
        ReefGuide::builder(self.client_of("worker@email.com")).settle(Duration::from_millis(50))
    }

    pub(crate) fn storage(&self) -> Storage {
        storage_of(&self.lab)
    }

    pub(crate) fn options(&self) -> RunOptions {
        let mut options = RunOptions::default();
        options.poll_interval = Duration::from_millis(50);
        options.shutdown_grace = Duration::from_secs(10);
        options.scratch = self.scratch.path().to_owned();
        options.records = Some(self.records());
        options
    }

    /// The folder of the records of claims.
    pub(crate) fn records(&self) -> StorageUri {
        let folder = format!("s3://{}/reefguide-worker/records", self.lab.bucket());
        folder.parse().unwrap()
    }

    /// How many claims are not resolved.
    pub(crate) async fn unresolved(&self) -> usize {
        let records = self.storage().list(&self.records()).await;
        records.unwrap().len()
    }

    /// A worker without handlers yet.
    pub(crate) fn worker(&self) -> WorkerBuilder {
        Worker::builder()
            .source(self.source().build())
            .storage(self.storage())
            .options(self.options())
    }

    pub(crate) fn submit(&self, job_type: &str, payload: Value) -> i64 {
        self.lab.submit(job_type, payload).unwrap()
    }

    pub(crate) fn submit_test(&self, id: i64) -> i64 {
        self.submit("TEST", json!({ "id": id }))
    }

    pub(crate) fn status(&self, job: i64) -> String {
        self.lab.job(job).unwrap()["status"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Waits for the job's end and returns its status.
    pub(crate) async fn ended(&self, job: i64) -> String {
        let ended = self.lab.wait_for(job, |job| {
            !matches!(job["status"].as_str(), Some("PENDING" | "IN_PROGRESS"))
        });
        in_time(ended).await.unwrap();
        self.status(job)
    }

    /// The keys below a job's storage location, relative to it.
    pub(crate) async fn outputs(&self, job: i64) -> Vec<String> {
        let job = self.lab.job(job).unwrap();
        let location = job["assignments"][0]["storage_uri"].as_str().unwrap();
        let location: StorageUri = location.parse().unwrap();
        let objects = self.storage().list(&location).await.unwrap();
        let below = format!("{}/", location.key());
        objects
            .iter()
            .map(|object| object.uri.key().strip_prefix(&below).unwrap().to_owned())
            .collect()
    }

    pub(crate) fn scratch_is_empty(&self) -> bool {
        std::fs::read_dir(self.scratch.path())
            .unwrap()
            .next()
            .is_none()
    }
}

pub(crate) fn storage_of(lab: &Lab) -> Storage {
    Storage::s3(lab_storage::options(lab))
}

impl Running {
    pub(crate) fn start(worker: WorkerBuilder) -> Self {
        let stop = CancellationToken::new();
        let worker = worker.stop(stop.clone()).build().unwrap();
        Self {
            stop,
            task: tokio::spawn(worker.run()),
        }
    }

    /// Asks the worker to stop.
    pub(crate) fn ask(&self) {
        self.stop.cancel();
    }

    /// Waits until the worker stops by itself.
    pub(crate) async fn stopped(self) -> Stopped {
        in_time(self.task).await.unwrap()
    }

    pub(crate) async fn stop(self) -> Stopped {
        self.ask();
        let stopped = self.stopped().await;
        assert!(
            matches!(stopped.reason, StopReason::Requested),
            "{}",
            stopped.reason
        );
        stopped
    }
}

/// A worker that will be killed. It has its own runtime, which ends together with all its tasks.
pub(crate) struct Doomed(Runtime);

impl Doomed {
    pub(crate) fn start(worker: WorkerBuilder) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        runtime.spawn(worker.build().unwrap().run());
        Self(runtime)
    }

    /// Ends it as SIGKILL would: its tasks are not awaited.
    pub(crate) fn kill(self) {
        self.0.shutdown_background();
    }
}

/// The log of this thread, until it is dropped.
pub(crate) struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    _default: tracing::subscriber::DefaultGuard,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self::with(false)
    }

    /// The same, with lines also going to the logs of jobs.
    pub(crate) fn with_job_logs() -> Self {
        Self::with(true)
    }

    fn with(job_logs: bool) -> Self {
        // While there is only one subscriber, the first thread that reaches a log line decides for all threads whether
        // the line is enabled, and the thread of another test may have no subscriber.
        static SECOND: OnceLock<Dispatch> = OnceLock::new();
        SECOND.get_or_init(|| Dispatch::new(tracing_subscriber::registry()));
        let text = Arc::<Mutex<Vec<u8>>>::default();
        let writer = text.clone();
        let options = TelemetryOptions {
            format: LogFormat::Human,
            job_logs,
            ..TelemetryOptions::default()
        };
        let subscriber = subscriber(&options, move || Lines(writer.clone()), false).unwrap();
        Self {
            text,
            _default: tracing::subscriber::set_default(subscriber),
        }
    }

    /// The lines that contain a text.
    pub(crate) fn lines(&self, with: &str) -> Vec<String> {
        let text = String::from_utf8(self.text.lock().unwrap().clone()).unwrap();
        let lines = text.lines().filter(|line| line.contains(with));
        lines.map(str::to_owned).collect()
    }
}

struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

pub(crate) async fn in_time<F: Future>(waiting: F) -> F::Output {
    tokio::time::timeout(PATIENCE, waiting).await.unwrap()
}
