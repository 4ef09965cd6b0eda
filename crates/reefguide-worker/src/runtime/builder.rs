//! Putting a worker together.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::options::RunOptions;
use super::shutdown::reserve;
use super::stopped::Counters;
use super::trouble::Troubles;
use super::worker::{Shared, Worker};
use crate::handler::{BlockingJobHandler, Extensions, JobContext, JobError, JobHandler, Registry};
use crate::job::JobType;
use crate::ledger::Records;
use crate::observe::health::Health;
use crate::observe::metrics::Metrics;
use crate::retry::RetryPolicy;
use crate::scratch::RunFolder;
use crate::source::JobSource;
use crate::storage::{InputCache, Storage};

/// Puts a [`Worker`] together.
#[derive(Default)]
#[must_use]
pub struct WorkerBuilder {
    pub(crate) registry: Registry,
    pub(crate) extensions: Extensions,
    source: Option<Arc<dyn JobSource>>,
    storage: Option<Storage>,
    inputs: Option<InputCache>,
    job_types: Option<Vec<JobType>>,
    options: RunOptions,
    retries: BTreeMap<JobType, RetryPolicy>,
    health: Option<Health>,
    metrics: Metrics,
    stop: CancellationToken,
    pub(crate) version: Option<String>,
}

/// Why a worker could not be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Nothing to do.
    #[error("the worker has no handler; add one with `.handler(…)`")]
    NoHandler,
    /// Two handlers for one job type.
    #[error("job type {0} has two handlers; remove one")]
    DuplicateHandler(JobType),
    /// A job type is to be polled, or has options, that nobody handles.
    #[error("job type {0} is named in the options but has no handler")]
    NoHandlerFor(JobType),
    /// A job type is to be isolated that nobody handles.
    #[error("job type {0} is isolated but has no handler")]
    NoHandlerToIsolate(JobType),
    /// A handler cannot run in a process of its own.
    #[error(
        "job type {0} is isolated, which only a program can do that calls `.main()`; call that, or leave \
         `.isolated(…)` out"
    )]
    Isolated(JobType),
    /// A part is missing.
    #[error("the worker has no {0}; give it one with `.{0}(…)`, or start it with `.main()`")]
    Missing(&'static str),
    /// An option is out of range.
    #[error("option `{option}` is {value}, it must be at least {least}")]
    Option {
        /// Which.
        option: &'static str,
        /// What it was.
        value: usize,
        /// What it may be.
        least: usize,
    },
    /// The folder for scratch files cannot be used.
    #[error("scratch folder {}", .folder.display())]
    Scratch {
        /// Which folder.
        folder: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Worker {
    /// Begins a worker.
    pub fn builder() -> WorkerBuilder {
        WorkerBuilder::default()
    }
}

impl WorkerBuilder {
    /// Adds a handler.
    pub fn handler<H: JobHandler>(mut self, handler: H) -> Self {
        self.registry = self.registry.handler(handler);
        self
    }

    /// Adds a handler that computes.
    pub fn blocking_handler<H: BlockingJobHandler>(mut self, handler: H) -> Self {
        self.registry = self.registry.blocking_handler(handler);
        self
    }

    /// Adds a closure as a handler; see [`Registry::handler_fn`].
    pub fn handler_fn<I, O, F, Fut>(mut self, job_type: impl Into<JobType>, handler: F) -> Self
    where
        I: DeserializeOwned + JsonSchema + Send + 'static,
        O: Serialize + JsonSchema + Send + 'static,
        F: Fn(I, JobContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, JobError>> + Send + 'static,
    {
        self.registry = self.registry.handler_fn(job_type, handler);
        self
    }

    /// Runs the handler of a job type in a process of its own for each attempt, so that nothing that
    /// happens there ends the worker: no segmentation fault, no abort, no lack of memory. The job fails
    /// then, and its reason has the signal, the most memory that was seen, and the last log lines.
    ///
    /// The process is this program, started anew: it runs what stands before [`main`](Self::main) and
    /// calls the handler there, with the same arguments for settings, the same environment and folder.
    /// So only a program that calls `main` can isolate; [`build`](Self::build) refuses to.
    /// [`Harness`](crate::testing::Harness) runs every handler in the test's process.
    ///
    /// ```no_run
    /// # use reefguide_worker::prelude::*;
    /// struct Simulate;
    ///
    /// impl BlockingJobHandler for Simulate {
    ///     const JOB_TYPE: &'static str = "SIMULATE";
    ///     // …
    /// #   type Input = u64;
    /// #   type Output = u64;
    /// #   fn handle(&self, steps: u64, _: &JobContext) -> Result<u64, JobError> { Ok(steps) }
    /// }
    ///
    /// #[tokio::main]
    /// async fn main() -> ExitCode {
    ///     Worker::builder()
    ///         .blocking_handler(Simulate)
    ///         .isolated(Simulate::JOB_TYPE)
    ///         .main()
    ///         .await
    /// }
    /// ```
    pub fn isolated(mut self, job_type: impl Into<JobType>) -> Self {
        self.registry.isolated.insert(job_type.into());
        self
    }

    /// How the handler of a job type is tried again after a retryable error, where the options say
    /// nothing else ([`TypeOptions::retry`](super::TypeOptions::retry)): in a worker started by
    /// [`main`](Self::main) the operator has the last word.
    pub fn retry(mut self, job_type: impl Into<JobType>, policy: RetryPolicy) -> Self {
        self.retries.insert(job_type.into(), policy);
        self
    }

    /// Gives handlers a value, see [`JobContext::extension`].
    pub fn extension<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.extensions.insert(value);
        self
    }

    /// Where jobs come from.
    pub fn source(mut self, source: impl JobSource) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Where outputs go.
    pub fn storage(mut self, storage: Storage) -> Self {
        self.storage = Some(storage);
        self
    }

    /// Where inputs that handlers [fetch](JobContext::fetch) are kept; nowhere by default.
    pub fn input_cache(mut self, cache: InputCache) -> Self {
        self.inputs = Some(cache);
        self
    }

    /// Which job types to poll; those of all handlers by default.
    pub fn job_types(mut self, job_types: impl IntoIterator<Item = impl Into<JobType>>) -> Self {
        self.job_types = Some(job_types.into_iter().map(Into::into).collect());
        self
    }

    /// How to run.
    pub fn options(mut self, options: RunOptions) -> Self {
        self.options = options;
        self
    }

    /// Where to note what a health check asks for.
    pub fn health(mut self, health: Health) -> Self {
        self.health = Some(health);
        self
    }

    /// Where to count what happens.
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// The program's version, which [`main`](Self::main) tells with `--version` and gives to traces and to
    /// Sentry; usually `env!("CARGO_PKG_VERSION")`.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Stops the worker, when it fires.
    pub fn stop(mut self, stop: CancellationToken) -> Self {
        self.stop = stop;
        self
    }

    /// Makes the worker.
    ///
    /// # Errors
    /// When a part is missing or does not fit the others.
    pub fn build(self) -> Result<Worker, BuildError> {
        let Self {
            registry,
            extensions,
            source,
            storage,
            inputs,
            job_types,
            mut options,
            retries,
            health,
            metrics,
            stop,
            version: _,
        } = self;
        for (job_type, policy) in retries {
            let of_type = options.types.entry(job_type).or_default();
            of_type.retry.get_or_insert(policy);
        }
        if let Some(duplicate) = registry.duplicates.first() {
            return Err(BuildError::DuplicateHandler(duplicate.clone()));
        }
        let job_types = job_types.unwrap_or_else(|| registry.job_types().cloned().collect());
        if job_types.is_empty() {
            return Err(BuildError::NoHandler);
        }
        if let Some(unhandled) = job_types
            .iter()
            .chain(options.types.keys())
            .find(|job_type| !registry.handles(job_type))
        {
            return Err(BuildError::NoHandlerFor(unhandled.clone()));
        }
        let mut isolated = registry.isolated.iter();
        if let Some(unhandled) = isolated
            .clone()
            .find(|job_type| !registry.handles(job_type))
        {
            return Err(BuildError::NoHandlerToIsolate(unhandled.clone()));
        }
        if let (Some(job_type), None) = (isolated.next(), &registry.launcher) {
            return Err(BuildError::Isolated(job_type.clone()));
        }
        let source = source.ok_or(BuildError::Missing("source"))?;
        let storage = storage.ok_or(BuildError::Missing("storage"))?;
        let slots_of_types = options.types.values().filter_map(|options| options.slots);
        if options.slots == 0 || slots_of_types.min() == Some(0) {
            return Err(BuildError::Option {
                option: "slots",
                value: 0,
                least: 1,
            });
        }
        let scratch = RunFolder::new(&options.scratch);
        // That the disk is full may pass: until then the worker claims nothing.
        if let Err(source) = scratch.ensure()
            && !may_pass(&source)
        {
            return Err(BuildError::Scratch {
                folder: options.scratch,
                source,
            });
        }
        let health = health.unwrap_or_else(|| Health::new(options.slots));
        health.paced(options.poll_interval, options.watch_interval);
        metrics.begin(options.slots, &job_types);
        let records = options.records.clone().map(|folder| {
            // A call that takes longer would eat up what a shutdown keeps for ending.
            let limit = reserve(options.shutdown_grace) / 2;
            Records::new(&storage, folder, limit)
        });
        // Records are no work of jobs.
        let storage = storage.with_observers(&metrics.storage_observers());
        let shared = Arc::new(Shared {
            source,
            storage,
            inputs,
            records,
            registry,
            extensions,
            options,
            scratch,
            troubles: Troubles::new(&health, job_types.len()),
            health,
            metrics,
            counters: Counters::default(),
            ended: Notify::new(),
        });
        Ok(Worker {
            shared,
            job_types,
            stop,
        })
    }
}

/// Whether it is the disk that is in trouble, and not the folder that is wrong.
fn may_pass(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{
        AlreadyExists, NotADirectory, PermissionDenied, ReadOnlyFilesystem, Unsupported,
    };

    !matches!(
        error.kind(),
        AlreadyExists | NotADirectory | PermissionDenied | ReadOnlyFilesystem | Unsupported
    )
}

impl std::fmt::Debug for WorkerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerBuilder")
            .field("registry", &self.registry)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn isolating(job_type: &str) -> BuildError {
        let worker = Worker::builder()
            .handler_fn("REEF", |_: serde_json::Value, _| async { Ok(()) })
            .isolated(job_type);
        worker.build().unwrap_err()
    }

    #[test]
    fn only_a_handler_that_is_there_is_isolated() {
        let error = isolating("REEFS");
        assert!(
            matches!(error, BuildError::NoHandlerToIsolate(_)),
            "{error}"
        );
    }

    #[test]
    fn a_worker_that_could_not_start_its_program_anew_isolates_nothing() {
        let error = isolating("REEF");
        assert!(matches!(error, BuildError::Isolated(_)), "{error}");
    }
}
