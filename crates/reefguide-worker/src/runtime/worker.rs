//! A worker, and what its parts share.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::claiming::Claiming;
use super::options::RunOptions;
use super::shutdown::Shutdown;
use super::stopped::{Counters, Stopped};
use super::sweeper;
use super::trouble::Troubles;
use crate::handler::Registry;
use crate::job::JobType;
use crate::ledger::Ledger;
use crate::ledger::{Limit, Reached};
use crate::observe::health::{Health, Phase};
use crate::observe::metrics::Metrics;
use crate::scratch::RunFolder;
use crate::source::JobSource;
use crate::storage::{InputCache, Storage};

/// A worker, ready to run. See [`Worker::builder`].
#[derive(Debug)]
pub struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) job_types: Vec<JobType>,
    pub(super) stop: CancellationToken,
}

/// What the loop and the jobs share.
pub(super) struct Shared {
    pub(super) source: Arc<dyn JobSource>,
    pub(super) storage: Storage,
    /// `None`: nothing is kept from one attempt to the next.
    pub(super) inputs: Option<InputCache>,
    /// `None`: none are kept.
    pub(super) records: Option<Ledger>,
    pub(super) registry: Registry,
    pub(super) options: RunOptions,
    /// This run's own folder, removed with it.
    pub(super) scratch: RunFolder,
    pub(super) troubles: Troubles,
    pub(super) health: Health,
    pub(super) metrics: Metrics,
    pub(super) counters: Counters,
    /// Signals that a job has ended.
    pub(super) ended: Notify,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("registry", &self.registry)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl Worker {
    /// The folder of this run's scratch files. It is removed when the run ends. A program that ends without letting
    /// it end may remove the folder itself; otherwise the next worker does that has the same
    /// [`scratch`](RunOptions::scratch).
    pub fn scratch(&self) -> &Path {
        self.shared.scratch.path()
    }

    /// Works until there is a reason to stop, then lets running jobs finish within the grace.
    ///
    /// Stops when the builder's token fires, when there was no job for the idle time, when source or disk
    /// were in trouble for as long, or when the source refuses the worker's account. Installs no signal handlers;
    /// [`reefguide_worker::run`](crate::run) does.
    ///
    /// Not cancel safe: dropped, it leaves claimed jobs without a result. Cancel the token instead.
    pub async fn run(self) -> Stopped {
        let shutdown = Shutdown::new(self.stop.clone());
        let grace = self.shared.options.shutdown_grace;
        let _driver = AbortOnDropHandle::new(tokio::spawn(shutdown.clone().drive(grace)));
        let jobs = TaskTracker::new();
        let shared = self.shared.clone();
        let stop_looking = CancellationToken::new();
        let looking = shared.records.clone().map(|records| {
            let looking = sweeper::run_sweeper(shared.clone(), records, stop_looking.clone());
            AbortOnDropHandle::new(tokio::spawn(looking))
        });

        shared.health.enter(Phase::Working);
        let reason = Claiming::new(self, shutdown.clone(), jobs.clone())
            .run()
            .await;
        shared.health.enter(Phase::Stopping);
        stop_looking.cancel();
        if !jobs.is_empty() {
            tracing::info!(%reason, running = jobs.len(), "waiting for running jobs");
        }
        jobs.close();
        jobs.wait().await;
        let jobs_ended = Instant::now();
        if let (Some(looking), Some(records)) = (looking, &shared.records) {
            let limit = Limit {
                shutdown: &shutdown.give_up,
                end: Some((jobs_ended + grace, Reached::Recovery)),
                ended: None,
            };
            // Past the limit it is aborted; the records stay.
            let _ = limit.run(looking).await;
            sweeper::resolve_orphans(&shared, records, limit).await;
        }
        let counts = shared.counters.read();
        let spent = shutdown.spent(jobs_ended, grace);
        tracing::info!(
            %reason,
            succeeded = counts.succeeded,
            failed = counts.failed,
            given_up = counts.given_up,
            undelivered = counts.undelivered,
            fenced = counts.fenced,
            recovered = counts.recovered,
            finish_s = spent.finish.as_secs_f64(),
            cancel_s = spent.cancel.as_secs_f64(),
            deliver_s = spent.deliver.as_secs_f64(),
            settle_s = jobs_ended.elapsed().as_secs_f64(),
            "worker stopped"
        );
        Stopped {
            reason,
            jobs: counts,
        }
    }
}
