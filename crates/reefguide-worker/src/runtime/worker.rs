//! A worker, from its start to its end.

use std::path::Path;
use std::sync::Arc;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::claiming::Claiming;
use super::shared::Shared;
use super::shutdown::Shutdown;
use super::stopped::Stopped;
use super::sweeper;
use crate::job::JobType;
use crate::ledger::{Limit, Reached};
use crate::observe::health::Phase;

/// A worker, ready to run. See [`Worker::builder`].
#[derive(Debug)]
pub struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) job_types: Vec<JobType>,
    pub(super) stop: CancellationToken,
}

impl Worker {
    /// The folder of this run's scratch files. It is removed when the run ends. A program that exits earlier may
    /// remove the folder itself; otherwise the next worker with the same
    /// [`scratch`](super::RunOptions::scratch) removes it.
    pub fn scratch(&self) -> &Path {
        self.shared.scratch.path()
    }

    /// Runs until there is a reason to stop, then lets running jobs finish within the grace.
    ///
    /// It stops when the builder's token fires, when there was no job for the idle time, when the source or the disk
    /// has failed for as long, or when the source refuses the worker's account. It installs no signal handlers;
    /// [`reefguide_worker::run`](crate::run) does.
    ///
    /// Not cancel safe: dropped, it leaves claimed jobs without a result. Cancel the token instead.
    pub async fn run(self) -> Stopped {
        let shutdown = Shutdown::new(self.stop.clone());
        let grace = self.shared.options.shutdown_grace;
        let _driver = AbortOnDropHandle::new(tokio::spawn(shutdown.clone().drive(grace)));
        let jobs = TaskTracker::new();
        let shared = self.shared.clone();
        let stop_sweeper = CancellationToken::new();
        let sweeper_task = shared.records.clone().map(|records| {
            let sweeping = sweeper::run_sweeper(shared.clone(), records, stop_sweeper.clone());
            AbortOnDropHandle::new(tokio::spawn(sweeping))
        });

        shared.observer.phase_entered(Phase::Working);
        let reason = Claiming::new(
            shared.clone(),
            self.job_types,
            shutdown.clone(),
            jobs.clone(),
        )
        .run()
        .await;
        shared.observer.phase_entered(Phase::Stopping);
        stop_sweeper.cancel();
        if !jobs.is_empty() {
            tracing::info!(%reason, running = jobs.len(), "waiting for running jobs");
        }
        jobs.close();
        jobs.wait().await;
        let jobs_ended = Instant::now();
        if let (Some(sweeper_task), Some(records)) = (sweeper_task, &shared.records) {
            let limit = Limit {
                shutdown: &shutdown.give_up,
                end: Some((jobs_ended + grace, Reached::Recovery)),
                ended: None,
            };
            // At the limit it is aborted; the records stay.
            let _ = limit.run(sweeper_task).await;
            sweeper::resolve_orphans(&shared, records, limit).await;
        }
        let counts = *shared.observer.counts();
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
