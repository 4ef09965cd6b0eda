//! What the author of a worker writes: handlers.
//!
//! A handler turns the payload of one job type into a result, and writes its output files. There are
//! three forms, all equal in the [`Registry`]:
//! - [`JobHandler`], asynchronous: for work that waits, or hands its computing to
//!   [`JobContext::blocking`];
//! - [`BlockingJobHandler`], for work that computes;
//! - a closure ([`Registry::handler_fn`]), for tiny ones.
//!
//! In an asynchronous one the work may be done by a [`Program`] in another language. A handler says in its `impl`
//! how it is to be run: how it is retried, how long it may take, whether in its own process
//! ([`isolated`](JobHandler::isolated)).

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
pub(crate) use isolation::{Call, Launcher, LogLines, answer, begin};
pub(crate) use process::{kill_all, reap_orphans};
