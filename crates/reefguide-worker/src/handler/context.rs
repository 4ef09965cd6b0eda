//! What a handler is given besides its input.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::JobError;
use crate::job::{Assignment, Job};
use crate::storage::{
    InputCache, InputFile, Outputs, Storage, StorageError, StorageUri, TransferProgress,
};

/// One attempt at a job, as its handler sees it. Cheap to clone.
#[derive(Clone)]
pub struct JobContext {
    parts: Arc<ContextParts>,
}

/// What a context is made of.
pub(crate) struct ContextParts {
    pub(crate) job: Job,
    pub(crate) assignment: Assignment,
    pub(crate) attempt: u32,
    pub(crate) scratch: PathBuf,
    pub(crate) outputs: Outputs,
    /// It counts what this attempt moves, and nothing else.
    pub(crate) storage: Storage,
    /// `None`: nothing is kept from one attempt to the next.
    pub(crate) inputs: Option<InputCache>,
    pub(crate) extensions: Extensions,
    pub(crate) cancellation: CancellationToken,
    pub(crate) deadline: Option<Instant>,
}

impl From<ContextParts> for JobContext {
    fn from(parts: ContextParts) -> Self {
        Self {
            parts: Arc::new(parts),
        }
    }
}

impl JobContext {
    /// The job: its id, its type, its payload as it was received.
    pub fn job(&self) -> &Job {
        &self.parts.job
    }

    /// The assignment under which it runs.
    pub fn assignment(&self) -> &Assignment {
        &self.parts.assignment
    }

    /// Which attempt this is, counted from 1: a handler whose error was retryable is tried again.
    pub fn attempt(&self) -> u32 {
        self.parts.attempt
    }

    /// An empty folder for whatever the job needs on disk. It is removed after the attempt.
    pub fn scratch(&self) -> &Path {
        &self.parts.scratch
    }

    /// The output files. They are stored once the handler has returned, all of them, before the job
    /// is reported as a success.
    pub fn outputs(&self) -> &Outputs {
        &self.parts.outputs
    }

    /// For reading inputs, and for whatever else is to be stored.
    pub fn storage(&self) -> &Storage {
        &self.parts.storage
    }

    /// The newest version of an object, as a file to read: from the worker's cache of inputs if it has one
    /// (`CACHE_PATH`), otherwise downloaded into the scratch folder.
    ///
    /// The file is there for as long as the value returned is. Other jobs may read the same file: do not
    /// write to it.
    ///
    /// ```
    /// # use reefguide_worker::prelude::*;
    /// # async fn depths(uri: StorageUri, ctx: &JobContext) -> Result<(), JobError> {
    /// let raster = ctx.fetch(&uri).await?;
    /// let file = std::fs::File::open(raster.path())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of the storage, and of the file system that the file is written to.
    pub async fn fetch(&self, uri: &StorageUri) -> Result<InputFile, StorageError> {
        let ContextParts {
            storage, scratch, ..
        } = &*self.parts;
        match &self.parts.inputs {
            Some(cache) => cache.fetch(storage, uri, scratch).await,
            None => InputFile::download(storage, uri, scratch).await,
        }
    }

    /// How far this attempt's uploads and downloads through [`storage`](Self::storage) are. The worker
    /// logs it every 30 s while there are any. The outputs are stored later, and counted apart.
    pub fn transfers(&self) -> &TransferProgress {
        self.parts.storage.progress()
    }

    /// Something the worker was given for its handlers ([`Registry::extension`](super::Registry::extension)), by its
    /// type. A worker started by [`run`](crate::run) has the API's
    /// [`Client`](crate::source::reefguide::Client) and the
    /// [`Config`](crate::app::config::Config) there, unless it was given others; its command `handle` has the
    /// client only if the API is configured.
    pub fn extension<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.parts.extensions.get()
    }

    /// Fires when the attempt has to end: at its deadline, or when the worker shuts down.
    pub fn cancellation(&self) -> &CancellationToken {
        &self.parts.cancellation
    }

    /// An error once the attempt has to end, for computations to return from with `?`.
    pub fn check_cancelled(&self) -> Result<(), JobError> {
        if self.parts.cancellation.is_cancelled() {
            return Err(JobError::permanent("cancelled"));
        }
        Ok(())
    }

    /// When the attempt will be ended; `None` when nothing limits it.
    pub fn deadline(&self) -> Option<Instant> {
        self.parts.deadline
    }

    /// How much time is left; `None` when nothing limits it.
    pub fn remaining(&self) -> Option<Duration> {
        self.parts
            .deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Notes in the log how far the job is.
    pub fn progress(&self, note: impl fmt::Display) {
        tracing::info!(progress = %note, "job progress");
    }

    /// Runs a computation on a thread of its own and waits for it.
    ///
    /// Dropping the future does not stop the thread: a long computation asks
    /// [`check_cancelled`](Self::check_cancelled) now and then. A panic in it is a panic of the handler.
    ///
    /// # Errors
    /// What the computation returns, or that the system has no thread to give (retryable).
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, JobError> + Send + 'static,
    ) -> Result<T, JobError> {
        // A thread of its own, not one of tokio's pool: that is waited for without limit when the
        // program ends, and a computation that never looks at its token would hold up the shutdown.
        let (sender, done) = oneshot::channel();
        let span = tracing::Span::current();
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        std::thread::Builder::new()
            .name(format!("job-{}", self.parts.job.id))
            .spawn(move || {
                tracing::dispatcher::with_default(&dispatch, || {
                    let result = span.in_scope(|| catch_unwind(AssertUnwindSafe(work)));
                    // Nobody may be waiting any more.
                    let _ = sender.send(result);
                });
            })
            .map_err(|error| JobError::retryable(error).context("starting a thread"))?;
        match done.await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Err(JobError::permanent("the computing thread vanished")),
        }
    }
}

impl fmt::Debug for JobContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobContext")
            .field("job", &self.parts.job)
            .field("assignment", &self.parts.assignment)
            .field("attempt", &self.parts.attempt)
            .finish_non_exhaustive()
    }
}

/// Values for handlers, one of each type.
#[derive(Clone, Default)]
pub struct Extensions {
    by_type: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl Extensions {
    /// Adds a value, in place of one of the same type.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        self.by_type.insert(TypeId::of::<T>(), Arc::new(value));
    }

    /// Adds a value, unless there is one of the same type.
    pub(crate) fn supply<T: Send + Sync + 'static>(&mut self, value: T) {
        self.by_type
            .entry(TypeId::of::<T>())
            .or_insert_with(|| Arc::new(value));
    }

    /// Adds the values of others, in place of those of the same types.
    pub(crate) fn merge(&mut self, others: Self) {
        self.by_type.extend(others.by_type);
    }

    /// The value of a type.
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.by_type
            .get(&TypeId::of::<T>())?
            .clone()
            .downcast()
            .ok()
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extensions({})", self.by_type.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_author_has_given_is_not_replaced_by_what_the_worker_supplies() {
        let mut extensions = Extensions::default();
        extensions.insert(1_u8);
        extensions.supply(2_u8);
        extensions.supply("the worker's");
        assert_eq!(extensions.get::<u8>().as_deref(), Some(&1));
        assert_eq!(extensions.get::<&str>().as_deref(), Some(&"the worker's"));
    }
}
