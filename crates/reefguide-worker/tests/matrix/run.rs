//! One case: a lab, workers that race, a fault, and the state afterwards.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use reefguide_lab::{Fault, JobTypeSpec, Lab, Route, Violation};
use reefguide_worker::job::JobId;
use reefguide_worker::ledger::Recovery;
use reefguide_worker::prelude::*;
use reefguide_worker::retry::RetryPolicy;
use reefguide_worker::runtime::{RunOptions, Stopped};
use reefguide_worker::source::reefguide::{Client, ReefGuide};
use reefguide_worker::storage::{Storage, StorageUri};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::case::{Case, Event};
use crate::checks;
use crate::lab_storage;
use crate::work::{WORK, Work};

/// How long a call to the API may take.
pub(crate) const CLIENT_TIMEOUT: Duration = Duration::from_millis(800);
/// How long one try of a call to S3 may take.
pub(crate) const S3_TIMEOUT: Duration = Duration::from_millis(1500);
/// How long refreshing a token takes where the case is about it.
pub(crate) const SLOW_REFRESH: Duration = Duration::from_millis(150);
/// How many workers race.
pub(crate) const WORKERS: usize = 2;
/// The longest that a case waits for anything. It fails then instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);
/// A short lease, and how long before its end a handler is cancelled.
const SHORT_LEASE: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(3));

/// The result of a case.
pub(crate) struct Ran {
    pub(crate) jobs: Vec<Value>,
    pub(crate) faults: u64,
    pub(crate) took: Duration,
    pub(crate) violations: Vec<Violation>,
}

/// Runs a case. Its workers have their own runtime, in which leftover tasks can be found.
pub(crate) fn run(case: &Case, labs: &Handle) -> Ran {
    let workers = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let ran = labs.block_on(Bench::run(case, workers.handle()));
    workers.shutdown_background();
    ran
}

/// What a case is run with.
pub(crate) struct Bench {
    pub(crate) lab: Lab,
    pub(crate) scratch: TempDir,
    /// Which worker ran each job.
    pub(crate) runs: Arc<Mutex<Vec<(JobId, usize)>>>,
    pub(crate) jobs: Vec<i64>,
}

impl Bench {
    async fn run(case: &Case, workers: &Handle) -> Ran {
        let started = Instant::now();
        let mut rng = Rng::with_seed(case.seed);
        let bench = Self::new(case, &mut rng).await;
        let stop = CancellationToken::new();
        let mut tasks = Vec::new();
        for nth in 0..WORKERS {
            tasks.push(bench.start(nth, case, workers, stop.clone()));
        }
        let stopped = join_all(tasks);
        tokio::pin!(stopped);
        let mut violations = Vec::new();
        let mut faults = 0;
        let done = timeout(PATIENCE, async {
            tokio::select! {
                // Workers whose account the API refused stop by themselves.
                ended = &mut stopped => return ended,
                () = bench.until_it_is_time(case, &mut rng) => {}
            }
            stop.cancel();
            (&mut stopped).await
        });
        match done.await {
            Ok(ended) => {
                let stopped: Vec<Stopped> = ended.into_iter().map(Result::unwrap).collect();
                faults = bench.lab.faults().fired();
                checks::after(case, &bench, &stopped, workers, &mut violations).await;
            }
            Err(_) => {
                let what = format!("after {PATIENCE:?} there is {}", bench.statuses());
                violations.push(Violation::new("hang", what));
                violations.extend(bench.lab.audit(checks::outputs).unwrap());
            }
        }
        let jobs = bench.lab.jobs().unwrap();
        bench.lab.shutdown().await;
        Ran {
            jobs,
            faults,
            took: started.elapsed(),
            violations,
        }
    }

    async fn new(case: &Case, rng: &mut Rng) -> Self {
        let mut spec = JobTypeSpec::new(WORK);
        if case.event == Event::Lease {
            spec = spec.expiry(SHORT_LEASE.0);
        }
        let lab = Lab::builder()
            .login_limit(1_000)
            .job_type(spec)
            .start()
            .await
            .unwrap();
        let submit = |work: Work| {
            lab.submit(WORK, serde_json::to_value(work).unwrap())
                .unwrap()
        };
        let jobs = case.jobs(rng).into_iter().map(submit).collect();
        lab.faults().add(case.fault(rng));
        let expiry = Fault::expire_tokens(Route::Job).times(1);
        if case.route == Route::Token {
            // While jobs run and are watched, and slow enough that all of them need the next token meanwhile.
            lab.faults().add(expiry.after(8));
            lab.faults().add(Fault::delay(Route::Token, SLOW_REFRESH));
        } else if rng.bool() {
            lab.faults().add(expiry);
        }
        Self {
            lab,
            scratch: tempfile::tempdir().unwrap(),
            runs: Arc::default(),
            jobs,
        }
    }

    /// Starts the `nth` worker.
    fn start(
        &self,
        nth: usize,
        case: &Case,
        workers: &Handle,
        stop: CancellationToken,
    ) -> JoinHandle<Stopped> {
        let client = self.client();
        let source = ReefGuide::builder(client.clone())
            .settle(Duration::from_millis(40))
            .build();
        let storage = self.storage();
        let runs = self.runs.clone();
        let worker = Worker::builder()
            .source(source)
            .storage(storage.clone())
            .options(self.options(case))
            .stop(stop)
            .handler_fn(WORK, move |work: Work, ctx: JobContext| {
                runs.lock().unwrap().push((ctx.job().id.clone(), nth));
                async move { work.run(&ctx).await }
            })
            .build()
            .unwrap();
        let bucket = self.lab.bucket().to_owned();
        workers.spawn(async move {
            // A used connection is in the pool for the first request.
            join_all((0..4).map(|_| client.health())).await;
            join_all((0..4).map(|_| storage.probe(&bucket))).await;
            drop((client, storage));
            worker.run().await
        })
    }

    fn options(&self, case: &Case) -> RunOptions {
        let mut options = RunOptions::default();
        options.slots = if case.route == Route::Token { 4 } else { 2 };
        options.poll_interval = Duration::from_millis(60);
        options.idle_timeout = None;
        options.shutdown_grace = Duration::from_secs(20);
        options.watch_interval = Some(Duration::from_millis(60));
        options.handler_retry = RetryPolicy::new(Duration::from_millis(20)).tries(3);
        options.scratch = self.scratch.path().to_owned();
        options.records = Some(self.records());
        options.record_interval = Duration::from_secs(1);
        if case.event == Event::Lease {
            options.deadline_margin = SHORT_LEASE.1;
        }
        options
    }

    /// The folder of the records of claims.
    fn records(&self) -> StorageUri {
        let folder = format!("s3://{}/reefguide-worker/records", self.lab.bucket());
        folder.parse().unwrap()
    }

    /// Resolves the claims of workers that have ended.
    pub(crate) fn recovery(&self) -> Recovery {
        let source = ReefGuide::builder(self.client()).build();
        Recovery::new(source, self.storage(), self.records()).dead_after(Duration::ZERO)
    }

    fn client(&self) -> Client {
        let client = Client::builder(self.lab.api_endpoint(), "worker@email.com", "password");
        client.timeout(CLIENT_TIMEOUT).build().unwrap()
    }

    fn storage(&self) -> Storage {
        let mut options = lab_storage::options(&self.lab);
        options.try_timeout = S3_TIMEOUT;
        options.operation_timeout = S3_TIMEOUT * 4;
        Storage::s3(options)
    }

    /// Waits until the workers have to stop: in the middle of the case, or when all jobs have ended.
    async fn until_it_is_time(&self, case: &Case, rng: &mut Rng) {
        if case.event != Event::Sigterm {
            return self.lab.wait_until(|_| self.all_ended()).await;
        }
        self.lab
            .wait_until(|_| self.struck() > 0 || self.all_ended())
            .await;
        tokio::time::sleep(Duration::from_millis(rng.u64(..250))).await;
    }

    fn all_ended(&self) -> bool {
        let ended = |id: &i64| !matches!(self.status(*id).as_str(), "PENDING" | "IN_PROGRESS");
        self.jobs.iter().all(ended)
    }

    /// How often the case's fault was triggered.
    pub(crate) fn struck(&self) -> u64 {
        self.lab.faults().all()[0].fired
    }

    pub(crate) fn status(&self, id: i64) -> String {
        self.lab.job(id).unwrap()["status"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    pub(crate) fn statuses(&self) -> String {
        let statuses: Vec<_> = self.jobs.iter().map(|id| self.status(*id)).collect();
        statuses.join(", ")
    }
}
