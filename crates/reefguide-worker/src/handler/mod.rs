//! Handlers, the part of a worker that you write.
//!
//! A handler turns the payload of one job type into a result, and writes output files. Write it in one of three forms
//! and add it to the [`Registry`]:
//! - [`JobHandler`], which is asynchronous, for work that waits for storage, services or databases;
//! - [`BlockingJobHandler`], for work that computes;
//! - a closure ([`Registry::handler_fn`]), for small handlers.
//!
//! A `JobHandler` can leave the work to a [`Program`] in another language. The `impl` of a handler also sets how the
//! worker retries it, how long it may take, and whether it runs [in its own process](JobHandler::isolated).

mod blocking;
mod context;
mod error;
mod isolation;
mod job_handler;
mod process;
mod program;
mod registry;
mod values;

pub use blocking::{BlockingContext, BlockingJobHandler, BlockingOutputs};
pub use context::{Extensions, JobContext};
pub use error::JobError;
pub use job_handler::JobHandler;
pub use program::{Program, WithheldVariables};
pub use registry::{HandlerSchema, Registry};
pub use values::{JobInput, JobOutput};

pub(crate) use context::ContextParts;
pub(crate) use error::Cause;
pub(crate) use isolation::{JobRequest, Launcher, LogLines, report_result, report_start};
pub(crate) use process::{kill_all, reap_zombies};
