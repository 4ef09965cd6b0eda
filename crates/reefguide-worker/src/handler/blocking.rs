//! Handlers that compute, and their context.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::runtime::Handle;

use super::{JobContext, JobError, JobHandler, JobInput, JobOutput};
use crate::job::JobType;
use crate::retry::RetryPolicy;
use crate::storage::{InputFile, Outputs, StorageUri};

/// Does the jobs of one type, each on its own thread, so that a long computation does not block the worker.
///
/// It fetches inputs and writes outputs with plain calls, without `async`:
///
/// ```
/// use reefguide_worker::prelude::*;
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Input {
///     raster: StorageUri,
/// }
///
/// #[derive(Serialize, JsonSchema)]
/// struct Output {
///     bright: usize,
/// }
///
/// struct CountBright;
///
/// impl BlockingJobHandler for CountBright {
///     const JOB_TYPE: &'static str = "COUNT_BRIGHT";
///     type Input = Input;
///     type Output = Output;
///
///     fn handle(&self, input: Input, ctx: &BlockingContext) -> Result<Output, JobError> {
///         let pixels = std::fs::read(ctx.fetch(&input.raster)?)?;
///         let mut bright = 0;
///         for row in pixels.chunks(1 << 20) {
///             ctx.check_cancelled()?;
///             bright += row.iter().filter(|pixel| **pixel > 200).count();
///         }
///         ctx.outputs().write("bright.txt", bright.to_string())?;
///         Ok(Output { bright })
///     }
/// }
/// ```
///
/// A thread cannot be stopped from outside, so call [`check_cancelled`](JobContext::check_cancelled) regularly in a long
/// computation.
///
/// The methods with defaults say [how the worker runs the handler](JobHandler#facts-of-a-handler), as in [`JobHandler`].
///
/// ```compile_fail,E0277
/// # use reefguide_worker::prelude::*;
/// struct NotAHandler;
///
/// let registry = Registry::new().blocking(NotAHandler); // error: `NotAHandler` is not a `BlockingJobHandler`
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `BlockingJobHandler`",
    label = "`BlockingJobHandler` is not implemented for `{Self}`",
    note = "implement it with a `JOB_TYPE`, an `Input` (`Deserialize`, `JsonSchema`), an `Output` (`Serialize`, \
            `JsonSchema`) and `fn handle`",
    note = "a `JobHandler` is added with `.handler(…)`, a closure with `.handler_fn(…)`"
)]
pub trait BlockingJobHandler: Send + Sync + 'static {
    /// The job type that this handler does.
    const JOB_TYPE: &'static str;
    /// The payload. If a payload does not fit, the job fails with an error that names the place.
    type Input: JobInput;
    /// The result, as the job type defines it. Keep it small, and write large data to output files.
    type Output: JobOutput;

    /// Does one job.
    fn handle(&self, input: Self::Input, ctx: &BlockingContext) -> Result<Self::Output, JobError>;

    /// See [`JobHandler::job_type`].
    fn job_type(&self) -> JobType {
        Self::JOB_TYPE.into()
    }

    /// See [`JobHandler::retry`].
    fn retry(&self) -> Option<RetryPolicy> {
        None
    }

    /// See [`JobHandler::time_limit`].
    fn time_limit(&self) -> Option<Duration> {
        None
    }

    /// See [`JobHandler::isolated`].
    fn isolated(&self) -> bool {
        false
    }
}

/// One attempt at a job, for a [`BlockingJobHandler`]: a [`JobContext`] whose calls block the handler's thread.
///
/// The most common calls of storage and outputs are here; use [`block_on`](Self::block_on) for the others. All of them
/// return an error as soon as the attempt has to end.
#[derive(Clone, Debug)]
pub struct BlockingContext {
    ctx: JobContext,
    runtime: Handle,
}

impl BlockingContext {
    /// The blocking form of [`JobContext::fetch`].
    ///
    /// # Errors
    /// The errors of `fetch`, and cancellation.
    pub fn fetch(&self, uri: &StorageUri) -> Result<InputFile, JobError> {
        self.block_on(self.ctx.fetch(uri))
    }

    /// The output files. The worker stores all of them after the handler has returned, and then reports the job as
    /// succeeded.
    pub fn outputs(&self) -> BlockingOutputs<'_> {
        BlockingOutputs { ctx: self }
    }

    /// Runs a future, such as a call of [`storage`](JobContext::storage), and returns its result. The future is dropped
    /// when the attempt has to end.
    ///
    /// ```
    /// # use reefguide_worker::prelude::*;
    /// fn list(uri: &StorageUri, ctx: &BlockingContext) -> Result<usize, JobError> {
    ///     let objects = ctx.block_on(ctx.storage().list(uri))?;
    ///     Ok(objects.len())
    /// }
    /// ```
    ///
    /// # Errors
    /// The error of the future, and cancellation.
    ///
    /// # Panics
    /// If it is called in an asynchronous function: only the handler's own thread may block.
    pub fn block_on<T, E: Into<JobError>>(
        &self,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, JobError> {
        self.runtime.block_on(async {
            tokio::select! {
                biased;
                () = self.cancellation().cancelled() => Err(JobError::permanent("cancelled")),
                result = future => result.map_err(Into::into),
            }
        })
    }
}

/// Everything else that a [`JobContext`] has.
impl Deref for BlockingContext {
    type Target = JobContext;

    fn deref(&self) -> &JobContext {
        &self.ctx
    }
}

/// The [`Outputs`] of a [`BlockingJobHandler`].
#[derive(Clone, Copy, Debug)]
pub struct BlockingOutputs<'a> {
    ctx: &'a BlockingContext,
}

impl BlockingOutputs<'_> {
    /// The blocking form of [`Outputs::write`].
    ///
    /// # Errors
    /// The errors of `write`, and cancellation.
    pub fn write(&self, path: &str, contents: impl AsRef<[u8]> + Send) -> Result<(), JobError> {
        self.ctx.block_on(Outputs::write(self, path, contents))
    }

    /// The blocking form of [`Outputs::write_json`].
    ///
    /// # Errors
    /// The errors of `write_json`, and cancellation.
    pub fn write_json(&self, path: &str, value: &(impl Serialize + Sync)) -> Result<(), JobError> {
        self.ctx.block_on(Outputs::write_json(self, path, value))
    }
}

/// Everything else that [`Outputs`] has, such as [`path`](Outputs::path) for large files.
impl Deref for BlockingOutputs<'_> {
    type Target = Outputs;

    fn deref(&self) -> &Outputs {
        self.ctx.ctx.outputs()
    }
}

/// A blocking handler as an asynchronous one.
pub(super) struct Blocking<H>(pub(super) Arc<H>);

impl<H: BlockingJobHandler> JobHandler for Blocking<H> {
    const JOB_TYPE: &'static str = H::JOB_TYPE;
    type Input = H::Input;
    type Output = H::Output;

    async fn handle(&self, input: H::Input, ctx: &JobContext) -> Result<H::Output, JobError> {
        let handler = self.0.clone();
        let context = BlockingContext {
            ctx: ctx.clone(),
            runtime: Handle::current(),
        };
        ctx.blocking(move || handler.handle(input, &context)).await
    }

    fn job_type(&self) -> JobType {
        self.0.job_type()
    }

    fn retry(&self) -> Option<RetryPolicy> {
        self.0.retry()
    }

    fn time_limit(&self) -> Option<Duration> {
        self.0.time_limit()
    }

    fn isolated(&self) -> bool {
        self.0.isolated()
    }
}
