//! What the author of a worker writes: handlers.
//!
//! A handler turns the payload of one job type into a result, and writes its output files. There are
//! three forms, all equal in the [`Registry`]:
//! - [`JobHandler`], asynchronous: for work that waits, or hands its computing to
//!   [`JobContext::blocking`];
//! - [`BlockingJobHandler`], for work that computes from beginning to end;
//! - a closure ([`Registry::handler_fn`]), for tiny ones.
//!
//! In an asynchronous one the work may be done by a [`Program`] in another language. Any of them may run
//! in a process of its own ([`isolated`](crate::runtime::WorkerBuilder::isolated)).

mod context;
mod error;
mod isolation;
mod process;
mod program;
mod registry;

pub use context::{Extensions, JobContext};
pub use error::JobError;
pub use program::{Program, WithheldVariables};
pub use registry::{HandlerSchema, Registry};

pub(crate) use context::ContextParts;
pub(crate) use error::Cause;
pub(crate) use isolation::{Call, Launcher, LogLines, answer, begin};
pub(crate) use process::{kill_all, reap_orphans};

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Does the jobs of one type.
///
/// When the job is cancelled (deadline, shutdown), [`JobContext::cancellation`] fires; a moment later
/// the future is dropped, wherever it waits. What it wrote is discarded with it. A handler that must
/// tidy up outside its scratch folder watches the token.
///
/// ```
/// use reefguide_worker::prelude::*;
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Input {
///     id: i64,
/// }
///
/// #[derive(Serialize, JsonSchema)]
/// struct Output {}
///
/// struct TestHandler;
///
/// #[async_trait]
/// impl JobHandler for TestHandler {
///     const JOB_TYPE: &'static str = "TEST";
///     type Input = Input;
///     type Output = Output;
///
///     async fn handle(&self, input: Input, ctx: &JobContext) -> Result<Output, JobError> {
///         ctx.outputs().write("id.txt", input.id.to_string()).await?;
///         Ok(Output {})
///     }
/// }
/// ```
#[async_trait]
pub trait JobHandler: Send + Sync + 'static {
    /// The job type this handler does.
    const JOB_TYPE: &'static str;
    /// The payload. A payload that does not fit fails the job, naming the place.
    type Input: DeserializeOwned + JsonSchema + Send + 'static;
    /// The result, as the job's type wants it; small, since files carry what is large.
    type Output: Serialize + JsonSchema + Send + 'static;

    /// Does one job.
    async fn handle(&self, input: Self::Input, ctx: &JobContext) -> Result<Self::Output, JobError>;
}

/// Does the jobs of one type on a thread of its own, so that computing starves nobody.
///
/// A thread cannot be stopped from outside: long computations ask
/// [`JobContext::check_cancelled`] now and then.
pub trait BlockingJobHandler: Send + Sync + 'static {
    /// The job type this handler does.
    const JOB_TYPE: &'static str;
    /// The payload. A payload that does not fit fails the job, naming the place.
    type Input: DeserializeOwned + JsonSchema + Send + 'static;
    /// The result, as the job's type wants it; small, since files carry what is large.
    type Output: Serialize + JsonSchema + Send + 'static;

    /// Does one job.
    fn handle(&self, input: Self::Input, ctx: &JobContext) -> Result<Self::Output, JobError>;
}
