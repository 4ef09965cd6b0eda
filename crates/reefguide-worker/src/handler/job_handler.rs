//! What the author of a handler implements.

use std::future::Future;
use std::time::Duration;

use super::{JobContext, JobError, JobInput, JobOutput};
use crate::job::JobType;
use crate::retry::RetryPolicy;

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
///
/// # Facts of a handler
/// The other methods say how the worker runs this handler. Each has a default, and what the operator sets for the
/// job type (`JOB_RETRY`, `JOB_TIME_LIMIT_MS`, [`TypeOptions`](crate::runtime::TypeOptions)) comes before it.
///
/// ```
/// use std::time::Duration;
///
/// use reefguide_worker::prelude::*;
///
/// struct TideTable;
///
/// impl JobHandler for TideTable {
///     const JOB_TYPE: &'static str = "TIDE_TABLE";
///     type Input = u64;
///     type Output = ();
///
///     fn retry(&self) -> Option<RetryPolicy> {
///         Some(RetryPolicy::new(Duration::from_secs(30)).growth(Growth::Linear).tries(5))
///     }
///
///     async fn handle(&self, station: u64, ctx: &JobContext) -> Result<(), JobError> {
///         Err(JobError::retryable("the tide table is not there yet"))
///     }
/// }
/// ```
///
/// # Not a handler
/// A type that does not implement the trait is refused with what is missing:
///
/// ```compile_fail,E0277
/// # use reefguide_worker::prelude::*;
/// struct NotAHandler;
///
/// let registry = Registry::new().handler(NotAHandler); // error: `NotAHandler` is not a `JobHandler`
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a `JobHandler`",
    label = "`JobHandler` is not implemented for `{Self}`",
    note = "implement it with a `JOB_TYPE`, an `Input` (`Deserialize`, `JsonSchema`), an `Output` (`Serialize`, \
            `JsonSchema`) and `async fn handle`",
    note = "a `BlockingJobHandler` is added with `.blocking(…)`, a closure with `.handler_fn(…)`"
)]
pub trait JobHandler: Send + Sync + 'static {
    /// The job type this handler does.
    const JOB_TYPE: &'static str;
    /// The payload. A payload that does not fit fails the job, naming the place.
    type Input: JobInput;
    /// The result, as the job's type wants it; small, since files carry what is large.
    type Output: JobOutput;

    /// Does one job. Write it as `async fn handle`.
    fn handle(
        &self,
        input: Self::Input,
        ctx: &JobContext,
    ) -> impl Future<Output = Result<Self::Output, JobError>> + Send;

    /// The job type this value does; [`JOB_TYPE`](Self::JOB_TYPE) by default. Override it if one handler serves
    /// several types, each as a value with its own settings, or a type that is known at run time only.
    ///
    /// ```
    /// use reefguide_worker::job::JobType;
    /// use reefguide_worker::prelude::*;
    ///
    /// struct Forecast {
    ///     region: &'static str,
    /// }
    ///
    /// impl JobHandler for Forecast {
    ///     const JOB_TYPE: &'static str = "FORECAST";
    ///     type Input = u64;
    ///     type Output = ();
    ///
    ///     fn job_type(&self) -> JobType {
    ///         format!("{}_{}", Self::JOB_TYPE, self.region).into()
    ///     }
    ///
    ///     async fn handle(&self, days: u64, ctx: &JobContext) -> Result<(), JobError> {
    ///         ctx.progress(format_args!("{days} days for {}", self.region));
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let regions = ["HERON", "LIZARD"].map(|region| Forecast { region });
    /// let registry = regions.into_iter().fold(Registry::new(), Registry::handler);
    /// assert!(registry.handles(&"FORECAST_HERON".into()));
    /// ```
    fn job_type(&self) -> JobType {
        Self::JOB_TYPE.into()
    }

    /// How often and how far apart the handler is called again after a retryable error; `None`: as the worker's
    /// [options](crate::runtime::RunOptions::handler_retry) say.
    fn retry(&self) -> Option<RetryPolicy> {
        None
    }

    /// How long a job may take from its claim to the end of its handler, all attempts together; `None`: no limit but
    /// the lease.
    fn time_limit(&self) -> Option<Duration> {
        None
    }

    /// Whether each attempt runs in its own process; `false` by default.
    ///
    /// Nothing that happens there ends the worker: no segmentation fault, no abort, no lack of memory. The job fails
    /// then, and the reason has the signal, the peak memory, and the last log lines.
    ///
    /// The process is this program, started again: it runs what stands before [`run`](crate::run) and calls the
    /// handler there, with the same arguments for settings, the same environment and folder. So only a program that
    /// calls `run` can isolate; [`WorkerBuilder::build`](crate::runtime::WorkerBuilder::build) refuses to.
    /// [`Harness`](crate::testing::Harness) runs every handler in the test's process.
    fn isolated(&self) -> bool {
        false
    }
}
