//! `run`: from the configuration to the reason for stopping.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::command_error::{
    CommandError, api_error, bucket_error, cache_error, scratch_error, storage_help,
};
use super::invocation::{Invocation, client_builder, listen, start_logging, storage};
use crate::Chain;
use crate::app::Exit;
use crate::app::config::{ApiAccount, Config};
use crate::app::health::{self, HealthError, Monitor};
use crate::app::platform::ecs::{ScaleInProtection, TaskIdentity};
use crate::app::platform::limits;
use crate::app::signals::Signals;
use crate::handler::{kill_all, reap_zombies};
use crate::job::JobType;
use crate::observe::health::{Health, Phase};
use crate::observe::metrics::{Metrics, Operation};
use crate::retry::RetryPolicy;
use crate::runtime::{BuildError, RunOptions, StopReason, Stopped, TypeOptions, Worker};
use crate::source::reefguide::{ApiError, Client, ReefGuide};
use crate::storage::{Storage, StorageError};

/// The delays between tries to reach the API and the bucket at the start.
const START_RETRY: RetryPolicy = RetryPolicy::new(Duration::from_millis(500))
    .cap(Duration::from_secs(10))
    .unlimited();

/// How long sending traces and reports may take at the end.
const FLUSH: Duration = Duration::from_secs(2);

#[derive(Debug, Default, clap::Args)]
pub(super) struct Run {
    /// Stops when there is no further job, instead of waiting for one.
    #[arg(long)]
    drain: bool,
}

impl Invocation {
    pub(super) async fn run(self, run: Run) -> Result<Exit, CommandError> {
        let (signals, stop) = (listen()?, CancellationToken::new());
        signals.clean_up_with(kill_all);
        signals.stop_first(stop.clone());
        let (config, account) = self.load()?;
        let reporting = start_logging(&config, &self.program)?;
        let ended = async {
            let started = self.start(&config, &account, run, &signals, stop.clone());
            // The guards live as long as the run.
            let (worker, _guards) = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(Exit::Done),
                started = started => started?,
            };
            outcome(&account, worker.run().await)
        };
        let ended = Box::pin(ended).await;
        reporting.flush(FLUSH).await;
        ended
    }

    async fn start(
        self,
        config: &Config,
        account: &ApiAccount,
        run: Run,
        signals: &Signals,
        stop: CancellationToken,
    ) -> Result<(Worker, impl Sized + use<>), CommandError> {
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            api_endpoint = account.endpoint,
            job_types = %config.job_types.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
            slots = config.max_concurrent_jobs,
            "worker starting"
        );
        if config.records().is_none() {
            tracing::warn!(
                "neither S3_BUCKET_NAME nor RECORDS_URI is set, so claims are not recorded: \
                 a job whose worker dies is left hanging"
            );
        }

        let reaping = AbortOnDropHandle::new(tokio::spawn(reap_zombies()));
        let health = Health::new(config.max_concurrent_jobs);
        let metrics = Metrics::new();
        let monitor = monitor(config.port, &health, &metrics)?;
        let mut builder = Worker::builder();
        if let Some(cache) = config.input_cache() {
            let prepared = cache.prepare().await;
            prepared.map_err(|error| cache_error(&cache, &error))?;
            builder = builder.input_cache(cache);
        }
        let client = client_builder(config, account)
            .token_observer(health.clone())
            .build()
            .map_err(|error| api_error(account, &error))?;
        let storage = storage(config);
        ready(config, account, &client, &storage, &health, &metrics).await?;
        let task = TaskIdentity::discover(config.ecs_container_metadata_uri.as_deref()).await;
        limits::log(&task);
        let protection = config.ecs_agent_uri.as_ref().map(|agent| {
            let protection = ScaleInProtection::new(agent, &task);
            AbortOnDropHandle::new(tokio::spawn(protection.follow(health.active_jobs())))
        });
        let source = ReefGuide::builder(client.clone())
            .task(task.task_arn, task.cluster_arn)
            .settle(config.claim_settle)
            .retry_observer(metrics.read_backs())
            .build();
        let mut handlers = self.handlers;
        handlers.extensions.supply(client);
        handlers.extensions.supply(config.clone());
        let worker = builder
            .handlers(handlers)
            .source(source)
            .storage(storage)
            .job_types(config.job_types.iter().cloned())
            .options(options(config, &run))
            .health(health)
            .metrics(metrics)
            .stop(stop)
            .build()
            .map_err(|error| match error {
                BuildError::Scratch { folder, source } => scratch_error(&folder, &source),
                error => CommandError::new(Exit::Config, Chain(&error).to_string()),
            })?;
        let scratch = worker.scratch().to_owned();
        signals.clean_up_with(move || {
            kill_all();
            crate::scratch::remove(&scratch);
        });
        Ok((worker, (monitor, protection, reaping)))
    }
}

fn options(config: &Config, run: &Run) -> RunOptions {
    let mut types = BTreeMap::<JobType, TypeOptions>::new();
    for (job_type, slots) in config.job_concurrency.iter().flatten() {
        types.entry(job_type.clone()).or_default().slots = Some(*slots);
    }
    for (job_type, limit) in config.job_time_limit.iter().flatten() {
        types.entry(job_type.clone()).or_default().time_limit = Some(*limit);
    }
    for (job_type, retry) in config.job_retry.iter().flatten() {
        types.entry(job_type.clone()).or_default().retry = Some(*retry);
    }
    RunOptions {
        slots: config.max_concurrent_jobs,
        poll_interval: config.poll_interval,
        idle_timeout: config.idle_timeout,
        shutdown_grace: config.shutdown_grace,
        deadline_margin: config.deadline_margin,
        watch_interval: config.watch_interval,
        types,
        max_jobs: config.max_jobs,
        drain: run.drain,
        records: config.records(),
        record_interval: config.record_interval,
        job_logs: config.job_logs.clone(),
        scratch: config.data_scratch_space.clone(),
        ..RunOptions::default()
    }
}

/// Checks that the worker can do a job before it claims one: the API accepts its account, and the bucket exists.
async fn ready(
    config: &Config,
    account: &ApiAccount,
    client: &Client,
    storage: &Storage,
    health: &Health,
    metrics: &Metrics,
) -> Result<(), CommandError> {
    let retries = metrics.retries(Operation::Start);
    let started = Instant::now();
    let in_time = || started.elapsed() < config.startup_timeout;
    let wait = |error: &ApiError, delay: Duration| {
        // An API that limits logins is up, so it is asked again without a time limit.
        if !(error.is_rate_limited() || (error.is_retryable() && in_time())) {
            return None;
        }
        // An API that asks for a pause is up.
        let asked = error.retry_after().unwrap_or_default();
        health.excuse_pause(asked);
        retries.inc();
        let delay = delay.max(asked);
        tracing::warn!(error = %Chain(error), delay_s = delay.as_secs_f64(), "API not ready yet, trying again");
        Some(delay)
    };
    let profile = START_RETRY.run(|| client.profile(), wait).await;
    let profile = profile.map_err(|error| api_error(account, &error))?;
    tracing::info!(
        email = profile.email,
        roles = profile.roles.join(","),
        "logged in"
    );
    health.contact();

    let Some(bucket) = &config.s3_bucket_name else {
        return Ok(());
    };
    health.enter(Phase::FindingBucket);
    let wait = |error: &StorageError, delay: Duration| {
        (error.is_retryable() && in_time()).then(|| {
            retries.inc();
            tracing::warn!(error = %Chain(error), delay_s = delay.as_secs_f64(), "bucket not ready yet, trying again");
            delay
        })
    };
    match START_RETRY.run(|| storage.probe(bucket), wait).await {
        // A role may allow writing but not listing.
        Err(error @ StorageError::AccessDenied { .. }) => {
            tracing::warn!(error = %Chain(&error), "bucket cannot be listed");
            Ok(())
        }
        probed => probed.map_err(|error| bucket_error(config, &error)),
    }
}

fn monitor(port: Option<u16>, health: &Health, metrics: &Metrics) -> Result<Monitor, CommandError> {
    let problem = |error| match error {
        HealthError::Bind { .. } => {
            CommandError::new(Exit::Config, format!("PORT: {}", Chain(&error)))
        }
        error => CommandError::new(Exit::Internal, Chain(&error).to_string()),
    };
    let listener = port.map(health::bind).transpose().map_err(problem)?;
    let monitor = Monitor::start(listener, health.clone(), metrics.clone()).map_err(problem)?;
    if let Some(port) = port {
        tracing::info!(port, "serving health");
    }
    Ok(monitor)
}

fn outcome(account: &ApiAccount, stopped: Stopped) -> Result<Exit, CommandError> {
    let error = match stopped.reason {
        StopReason::Requested
        | StopReason::Idle(_)
        | StopReason::Drained
        | StopReason::MaxJobs(_) => return Ok(Exit::Done),
        StopReason::NoScratch(error) => {
            return Err(scratch_error(&error.folder, &error.source));
        }
        StopReason::Unreachable(error) | StopReason::Denied(error) => error,
    };
    let source = error.source();
    let of_api = source.and_then(<dyn Error>::downcast_ref::<ApiError>);
    if let Some(error) = of_api {
        let problem = api_error(account, error);
        // The address was an API's at the start.
        let exit = match error.is_foreign() {
            true => Exit::Unreachable,
            false => problem.exit,
        };
        return Err(CommandError { exit, ..problem });
    }
    let exit = match error.is_retryable() {
        true => Exit::Unreachable,
        false => Exit::Internal,
    };
    let failed = CommandError::new(exit, Chain(&error).to_string());
    Err(failed.with_help(storage_help(&error)))
}
