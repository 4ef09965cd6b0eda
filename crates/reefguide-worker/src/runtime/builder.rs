//! Building a worker.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::blockers::Blockers;
use super::observer::Observer;
use super::options::RunOptions;
use super::shared::Shared;
use super::shutdown::reserve;
use super::worker::Worker;
use crate::handler::{
    BlockingJobHandler, JobContext, JobError, JobHandler, JobInput, JobOutput, Registry,
};
use crate::job::JobType;
use crate::ledger::Ledger;
use crate::observe::health::Health;
use crate::observe::metrics::Metrics;
use crate::scratch::RunFolder;
use crate::source::JobSource;
use crate::storage::{InputCache, Storage};

/// Builds a [`Worker`].
#[derive(Default)]
#[must_use]
pub struct WorkerBuilder {
    registry: Registry,
    source: Option<Arc<dyn JobSource>>,
    storage: Option<Storage>,
    inputs: Option<InputCache>,
    job_types: Option<Vec<JobType>>,
    options: RunOptions,
    health: Option<Health>,
    metrics: Metrics,
    stop: CancellationToken,
}

/// Why a worker could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// Nothing to do.
    #[error("the worker has no handler; add one with `.handler(…)`")]
    NoHandler,
    /// Two handlers for one job type.
    #[error("job type {0} has two handlers; remove one")]
    DuplicateHandler(JobType),
    /// A job type that is to be polled or has options has no handler.
    #[error("job type {0} is named in the options but has no handler")]
    NoHandlerFor(JobType),
    /// A handler cannot run in a separate process.
    #[error(
        "the handler of job type {0} is isolated, which works only in a program that calls \
         `reefguide_worker::run(…)`; call that, or let its `isolated()` return `false`"
    )]
    Isolated(JobType),
    /// A part is missing.
    #[error(
        "the worker has no {0}; give it one with `.{0}(…)`, or make a whole program with \
         `reefguide_worker::run(…)`"
    )]
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
    /// Starts to build a worker.
    pub fn builder() -> WorkerBuilder {
        WorkerBuilder::default()
    }
}

impl WorkerBuilder {
    /// Adds all handlers of a registry, and what they share.
    pub fn handlers(mut self, registry: Registry) -> Self {
        self.registry = self.registry.merge(registry);
        self
    }

    /// Adds a handler.
    pub fn handler<H: JobHandler>(mut self, handler: H) -> Self {
        self.registry = self.registry.handler(handler);
        self
    }

    /// Adds a handler that blocks its thread, for example while it computes.
    pub fn blocking<H: BlockingJobHandler>(mut self, handler: H) -> Self {
        self.registry = self.registry.blocking(handler);
        self
    }

    /// Adds a closure as a handler; see [`Registry::handler_fn`].
    pub fn handler_fn<I, O, F, Fut>(mut self, job_type: impl Into<JobType>, handler: F) -> Self
    where
        I: JobInput,
        O: JobOutput,
        F: Fn(I, JobContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, JobError>> + Send + 'static,
    {
        self.registry = self.registry.handler_fn(job_type, handler);
        self
    }

    /// Gives handlers a value, see [`JobContext::extension`].
    pub fn extension<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.registry = self.registry.extension(value);
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

    /// The cache for inputs that handlers [fetch](JobContext::fetch); none by default.
    pub fn input_cache(mut self, cache: InputCache) -> Self {
        self.inputs = Some(cache);
        self
    }

    /// The job types to poll; by default those of all handlers.
    pub fn job_types(mut self, job_types: impl IntoIterator<Item = impl Into<JobType>>) -> Self {
        self.job_types = Some(job_types.into_iter().map(Into::into).collect());
        self
    }

    /// How to run.
    pub fn options(mut self, options: RunOptions) -> Self {
        self.options = options;
        self
    }

    /// The health state that a health check reads.
    pub fn health(mut self, health: Health) -> Self {
        self.health = Some(health);
        self
    }

    /// The metrics that events are counted in.
    pub fn metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// The token that stops the worker.
    pub fn stop(mut self, stop: CancellationToken) -> Self {
        self.stop = stop;
        self
    }

    /// Builds the worker.
    ///
    /// # Errors
    /// If a part is missing or does not fit the others.
    pub fn build(self) -> Result<Worker, BuildError> {
        let Self {
            registry,
            source,
            storage,
            inputs,
            job_types,
            mut options,
            health,
            metrics,
            stop,
        } = self;
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
        for (job_type, facts) in registry.facts() {
            if facts.isolated && registry.launcher.is_none() {
                return Err(BuildError::Isolated(job_type.clone()));
            }
            // The operator's settings take precedence.
            let of_type = options.types.entry(job_type.clone()).or_default();
            of_type.retry = of_type.retry.or(facts.retry);
            of_type.time_limit = of_type.time_limit.or(facts.time_limit);
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
        // A full disk may be temporary: the worker starts, and claims nothing until there is room.
        if let Err(source) = scratch.ensure()
            && !may_pass(&source)
        {
            return Err(BuildError::Scratch {
                folder: options.scratch,
                source,
            });
        }
        let health = health.unwrap_or_else(|| Health::new(options.slots));
        health.set_intervals(options.poll_interval, options.watch_interval);
        metrics.begin(options.slots, &job_types);
        let records = options.records.clone().map(|folder| {
            // A longer call would use up the time that a shutdown reserves for reporting.
            let limit = reserve(options.shutdown_grace) / 2;
            Ledger::new(&storage, folder, limit)
        });
        let observer = Observer::new(health, metrics);
        // Not the records' storage: its requests are not transfers of jobs.
        let storage = observer.observed(&storage);
        let shared = Arc::new(Shared {
            source,
            storage,
            inputs,
            records,
            registry,
            options,
            scratch,
            blockers: Blockers::new(&observer, job_types.len()),
            observer,
            ended: Notify::new(),
        });
        Ok(Worker {
            shared,
            job_types,
            stop,
        })
    }
}

/// Whether the problem may be temporary, such as a full disk, rather than a wrong folder.
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

    struct Isolated;

    impl JobHandler for Isolated {
        const JOB_TYPE: &'static str = "REEF";
        type Input = serde_json::Value;
        type Output = ();

        fn isolated(&self) -> bool {
            true
        }

        async fn handle(&self, _: serde_json::Value, _: &JobContext) -> Result<(), JobError> {
            Ok(())
        }
    }

    #[test]
    fn a_worker_that_could_not_start_its_program_again_isolates_nothing() {
        let error = Worker::builder().handler(Isolated).build().unwrap_err();
        assert!(matches!(error, BuildError::Isolated(_)), "{error}");
    }

    #[test]
    fn two_handlers_for_a_job_type_are_refused_wherever_they_were_added() {
        let reef = |registry: Registry| {
            registry.handler_fn("REEF", |_: serde_json::Value, _| async { Ok(()) })
        };
        let reefs = reef(Registry::new());
        let worker = Worker::builder().handlers(reefs.clone()).handlers(reefs);
        let error = worker.build().unwrap_err();
        assert!(matches!(error, BuildError::DuplicateHandler(_)), "{error}");
    }
}
