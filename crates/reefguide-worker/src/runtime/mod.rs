//! Running jobs: slots, the poll loop, attempts, publication, delivery, and stopping.
//!
//! [`Worker::builder`] puts a [`JobSource`](crate::source::JobSource), a
//! [`Storage`](crate::storage::Storage) and handlers together; [`Worker::run`] works until there is a
//! reason to stop, and returns it.
//!
//! One loop claims, every job runs in a task of its own:
//!
//! ```text
//! slot ─► poll ─► claim ─► attempt ─► publish ─► deliver ─► slot
//! ```

mod attempt;
mod builder;
mod call;
mod claiming;
mod job_logs;
mod options;
mod scratch;
mod shutdown;
mod stopped;
mod sweeper;
mod transfers;
mod trouble;
mod watch;
mod worker;

pub use builder::{BuildError, WorkerBuilder};
pub(crate) use options::temporary_folder;
pub use options::{JobLogs, RunOptions, TypeOptions};
pub use scratch::ScratchError;
pub use stopped::{JobCounts, StopReason, Stopped};
pub use worker::Worker;

pub(crate) use call::{COOPERATION, call, job_span, note_assignment, thread_is_lost};
