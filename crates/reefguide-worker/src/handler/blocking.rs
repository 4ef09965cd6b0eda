//! Handlers that compute, and what they are given.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::runtime::Handle;

use super::{JobContext, JobError, JobHandler, JobInput, JobOutput};
use crate::job::JobType;
use crate::retry::RetryPolicy;
use crate::storage::{InputFile, Outputs, StorageUri};

/// Does the jobs of one type on its own thread, so that a computation does not hold up the worker.
///
/// It fetches inputs and writes outputs by plain calls, with no `async`:
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
/// A thread cannot be stopped from outside: long computations call
/// [`check_cancelled`](JobContext::check_cancelled) now and then.
///
/// The other methods are the [facts](JobHandler#facts-of-a-handler) of a handler, as in [`JobHandler`].
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
    /// The job type this handler does.
    const JOB_TYPE: &'static str;
    /// The payload. A payload that does not fit fails the job, naming the place.
    type Input: JobInput;
    /// The result, as the job's type wants it; small, since files carry what is large.
    type Output: JobOutput;

    /// Does one job.
    fn handle(&self, input: Self::Input, ctx: &BlockingContext) -> Result<Self::Output, JobError>;

    /// As [`JobHandler::job_type`].
    fn job_type(&self) -> JobType {
        Self::JOB_TYPE.into()
    }

    /// As [`JobHandler::retry`].
    fn retry(&self) -> Option<RetryPolicy> {
        None
    }

    /// As [`JobHandler::time_limit`].
    fn time_limit(&self) -> Option<Duration> {
        None
    }

    /// As [`JobHandler::isolated`].
    fn isolated(&self) -> bool {
        false
    }
}

/// One attempt at a job, as a [`BlockingJobHandler`] sees it: a [`JobContext`] whose calls wait on the handler's
/// thread.
///
/// Storage and outputs have what is used most as plain calls; for everything else there is
/// [`block_on`](Self::block_on). All of them end with an error as soon as the attempt has to end.
#[derive(Clone, Debug)]
pub struct BlockingContext {
    ctx: JobContext,
    runtime: Handle,
}

impl BlockingContext {
    /// [`JobContext::fetch`], waited for.
    ///
    /// # Errors
    /// As `fetch`, or that the attempt has to end.
    pub fn fetch(&self, uri: &StorageUri) -> Result<InputFile, JobError> {
        self.block_on(self.ctx.fetch(uri))
    }

    /// The output files, written by plain calls. They are stored once the handler has returned, all of them, before
    /// the job is reported as a success.
    pub fn outputs(&self) -> BlockingOutputs<'_> {
        BlockingOutputs { ctx: self }
    }

    /// Waits for something asynchronous, such as a call of [`storage`](JobContext::storage), for no longer than the
    /// attempt may take: then it is dropped.
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
    /// That of the future, or that the attempt has to end.
    ///
    /// # Panics
    /// In an asynchronous function: only the handler's own thread may wait.
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

/// With everything else that a [`JobContext`] has.
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
    /// [`Outputs::write`], waited for.
    ///
    /// # Errors
    /// As `write`, or that the attempt has to end.
    pub fn write(&self, path: &str, contents: impl AsRef<[u8]> + Send) -> Result<(), JobError> {
        self.ctx.block_on(Outputs::write(self, path, contents))
    }

    /// [`Outputs::write_json`], waited for.
    ///
    /// # Errors
    /// As `write_json`, or that the attempt has to end.
    pub fn write_json(&self, path: &str, value: &(impl Serialize + Sync)) -> Result<(), JobError> {
        self.ctx.block_on(Outputs::write_json(self, path, value))
    }
}

/// With [`path`](Outputs::path), for large files, and the rest.
impl Deref for BlockingOutputs<'_> {
    type Target = Outputs;

    fn deref(&self) -> &Outputs {
        self.ctx.ctx.outputs()
    }
}

/// A blocking handler as one that is awaited.
pub(super) struct Blocking<H>(pub(super) Arc<H>);

impl<H: BlockingJobHandler> JobHandler for Blocking<H> {
    const JOB_TYPE: &'static str = H::JOB_TYPE;
    type Input = H::Input;
    type Output = H::Output;

    async fn handle(&self, input: H::Input, ctx: &JobContext) -> Result<H::Output, JobError> {
        let handler = self.0.clone();
        let waiting = BlockingContext {
            ctx: ctx.clone(),
            runtime: Handle::current(),
        };
        ctx.blocking(move || handler.handle(input, &waiting)).await
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
