//! The trait of asynchronous handlers.

use std::future::Future;
use std::time::Duration;

use super::{JobContext, JobError, JobInput, JobOutput};
use crate::job::JobType;
use crate::retry::RetryPolicy;

/// Does the jobs of one type.
///
/// When the attempt has to end (at its deadline, or when the worker shuts down), [`JobContext::cancellation`] fires. A
/// moment later the worker drops the future and discards its outputs. If a handler must clean up outside its scratch
/// folder, let it watch the token.
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
/// The other methods say how the worker runs this handler. Each has a default. The operator's settings for the job type
/// (`JOB_RETRY`, `JOB_TIME_LIMIT_MS`, [`TypeOptions`](crate::runtime::TypeOptions)) take precedence.
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
/// The compiler names what is missing from a type that does not implement the trait:
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
    /// The job type that this handler does.
    const JOB_TYPE: &'static str;
    /// The payload. If a payload does not fit, the job fails with an error that names the place.
    type Input: JobInput;
    /// The result, as the job type defines it. Keep it small, and write large data to output files.
    type Output: JobOutput;

    /// Does one job. Write it as `async fn handle`.
    fn handle(
        &self,
        input: Self::Input,
        ctx: &JobContext,
    ) -> impl Future<Output = Result<Self::Output, JobError>> + Send;

    /// The job type that this value does; [`JOB_TYPE`](Self::JOB_TYPE) by default. Override it if one handler serves
    /// several types, each with its own value, or if the type is known only at run time.
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

    /// How often the worker calls the handler again after a retryable error, and after which delays. `None` means the
    /// worker's [default](crate::runtime::RunOptions::handler_retry).
    fn retry(&self) -> Option<RetryPolicy> {
        None
    }

    /// How long a job may take from its claim to the end of its handler, all attempts together. `None` means that only
    /// the lease limits it.
    fn time_limit(&self) -> Option<Duration> {
        None
    }

    /// Whether each attempt runs in its own process; `false` by default.
    ///
    /// A segmentation fault, an abort or a lack of memory then ends only that process. The job fails, and the reason
    /// names the signal, the peak memory and the last log lines.
    ///
    /// The process is this program, started again with the same settings, environment and folder. It runs the code before
    /// [`run`](crate::run), and `run` calls the handler. Only a program that calls `run` can isolate handlers:
    /// [`WorkerBuilder::build`](crate::runtime::WorkerBuilder::build) returns an error instead.
    /// [`Harness`](crate::testing::Harness) runs every handler in the test's process.
    fn isolated(&self) -> bool {
        false
    }
}
