//! The context of an attempt, which a handler receives with its input.

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

/// One attempt at a job, for its handler. Cheap to clone.
#[derive(Clone)]
pub struct JobContext {
    parts: Arc<ContextParts>,
}

/// The parts of a context.
pub(crate) struct ContextParts {
    pub(crate) job: Job,
    pub(crate) assignment: Assignment,
    pub(crate) attempt: u32,
    pub(crate) scratch: PathBuf,
    pub(crate) outputs: Outputs,
    /// Its progress counts only the transfers of this attempt.
    pub(crate) storage: Storage,
    /// `None`: no input is kept between attempts.
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
    /// The job: its id, its type, and its payload as it was received.
    pub fn job(&self) -> &Job {
        &self.parts.job
    }

    /// The assignment of the job to this worker.
    pub fn assignment(&self) -> &Assignment {
        &self.parts.assignment
    }

    /// The number of this attempt, counted from 1. The worker calls a handler again after a retryable error.
    pub fn attempt(&self) -> u32 {
        self.parts.attempt
    }

    /// An empty folder for temporary files. It is removed after the attempt.
    pub fn scratch(&self) -> &Path {
        &self.parts.scratch
    }

    /// The output files. The worker stores all of them after the handler has returned, and then reports the job as
    /// succeeded.
    pub fn outputs(&self) -> &Outputs {
        &self.parts.outputs
    }

    /// The storage, to read inputs and to store objects other than the outputs.
    pub fn storage(&self) -> &Storage {
        &self.parts.storage
    }

    /// Fetches the newest version of an object as a file to read: from the worker's cache of inputs if there is one
    /// (`CACHE_PATH`), or else into the scratch folder.
    ///
    /// The file is removed when you drop the returned value. Other jobs may read the same file, so do not write to it.
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
    /// If the object cannot be read, or the file cannot be written.
    pub async fn fetch(&self, uri: &StorageUri) -> Result<InputFile, StorageError> {
        let ContextParts {
            storage, scratch, ..
        } = &*self.parts;
        match &self.parts.inputs {
            Some(cache) => cache.fetch(storage, uri, scratch).await,
            None => InputFile::download(storage, uri, scratch).await,
        }
    }

    /// The progress of this attempt's uploads and downloads through [`storage`](Self::storage), without the outputs,
    /// which are stored later. The worker logs it every 30 s during transfers.
    pub fn transfers(&self) -> &TransferProgress {
        self.parts.storage.progress()
    }

    /// A value that handlers share, by its type: see [`Registry::extension`](super::Registry::extension).
    ///
    /// A worker started by [`run`](crate::run) adds the API's [`Client`](crate::source::reefguide::Client) and the
    /// [`Config`](crate::app::config::Config), unless you added values of these types. With the command `handle` the
    /// client is there only if the API is configured.
    pub fn extension<T: Send + Sync + 'static>(&self) -> Option<Arc<T>> {
        self.parts.extensions.get()
    }

    /// Fires when the attempt has to end: at its deadline, when the worker shuts down, or when the job is no longer
    /// wanted.
    pub fn cancellation(&self) -> &CancellationToken {
        &self.parts.cancellation
    }

    /// Returns an error if the attempt has to end, so that a computation can stop with `?`.
    pub fn check_cancelled(&self) -> Result<(), JobError> {
        if self.parts.cancellation.is_cancelled() {
            return Err(JobError::permanent("cancelled"));
        }
        Ok(())
    }

    /// When the attempt has to end; `None` without a limit.
    pub fn deadline(&self) -> Option<Instant> {
        self.parts.deadline
    }

    /// The time left for the attempt; `None` without a limit.
    pub fn remaining(&self) -> Option<Duration> {
        self.parts
            .deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }

    /// Logs how far the job is.
    pub fn progress(&self, note: impl fmt::Display) {
        tracing::info!(progress = %note, "job progress");
    }

    /// Runs a computation on its own thread and waits for it.
    ///
    /// Dropping the future does not stop the thread, so call [`check_cancelled`](Self::check_cancelled) regularly in a
    /// long computation. A panic in the computation is a panic of the handler.
    ///
    /// # Errors
    /// The error of the computation, or a retryable one if the system cannot start a thread.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, JobError> + Send + 'static,
    ) -> Result<T, JobError> {
        // Not a thread of tokio's pool: the runtime waits for those without limit when it shuts down, and a
        // computation that never checks its token would block the shutdown.
        let (sender, done) = oneshot::channel();
        let span = tracing::Span::current();
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        std::thread::Builder::new()
            .name(format!("job-{}", self.parts.job.id))
            .spawn(move || {
                tracing::dispatcher::with_default(&dispatch, || {
                    let result = span.in_scope(|| catch_unwind(AssertUnwindSafe(work)));
                    // The attempt may have ended already.
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

/// Values that handlers share, one of each type.
#[derive(Clone, Default)]
pub struct Extensions {
    by_type: HashMap<TypeId, Arc<dyn Any + Send + Sync>>,
}

impl Extensions {
    /// Adds a value, replacing one of the same type.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) {
        self.by_type.insert(TypeId::of::<T>(), Arc::new(value));
    }

    /// Adds a value unless there is one of the same type.
    pub(crate) fn supply<T: Send + Sync + 'static>(&mut self, value: T) {
        self.by_type
            .entry(TypeId::of::<T>())
            .or_insert_with(|| Arc::new(value));
    }

    /// Adds the values of `others`, replacing those of the same types.
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
    fn the_worker_does_not_replace_a_value_that_the_author_added() {
        let mut extensions = Extensions::default();
        extensions.insert(1_u8);
        extensions.supply(2_u8);
        extensions.supply("the worker's");
        assert_eq!(extensions.get::<u8>().as_deref(), Some(&1));
        assert_eq!(extensions.get::<&str>().as_deref(), Some(&"the worker's"));
    }
}
