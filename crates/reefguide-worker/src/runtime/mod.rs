//! Running jobs: slots, the poll loop, attempts, publication, delivery, and stopping.
//!
//! [`Worker::builder`] puts a [`JobSource`](crate::source::JobSource), a
//! [`Storage`](crate::storage::Storage) and handlers together; [`Worker::run`] runs until there is a
//! reason to stop, and returns it.
//!
//! One loop claims; each job runs in its own task:
//!
//! ```text
//! slot ─► poll ─► claim ─► attempt ─► publish ─► deliver ─► slot
//! ```

mod attempt;
mod blockers;
mod builder;
mod call;
mod claiming;
mod counts;
mod job;
mod observer;
mod options;
mod progress;
mod scratch;
mod shared;
mod shutdown;
mod stopped;
mod sweeper;
mod watch;
mod worker;

pub use builder::{BuildError, WorkerBuilder};
pub use counts::JobCounts;
pub(crate) use options::temporary_folder;
pub use options::{RunOptions, TypeOptions};
pub use scratch::ScratchError;
pub use stopped::{StopReason, Stopped};
pub use worker::Worker;

pub use crate::observe::job_log::JobLogs;

pub(crate) use call::{COOPERATION, call, job_span, note_assignment, thread_is_lost};
