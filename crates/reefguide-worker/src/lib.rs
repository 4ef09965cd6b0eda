// The README is read where links into the API do not work: those that do are here.
#![doc = include_str!("../README.md")]
//!
//! ## The rooms
//!
//! | module | what is in it |
//! | --- | --- |
//! | [`handler`] | [`JobHandler`](handler::JobHandler) and [its kin](handler::BlockingJobHandler), [errors](handler::JobError), [the context](handler::JobContext), the registry, [programs](handler::Program) in other languages |
//! | [`testing`] | the [harness](testing::Harness) for handlers |
//! | [`storage`] | URIs, S3 and folders, the [cache of inputs](storage::InputCache), [outputs](storage::Outputs) and their publication |
//! | [`job`] | the words: job, assignment, claim, outcome |
//! | [`source`] | where jobs come from; [`source::reefguide`] is the API's client and the claim fence |
//! | [`runtime`] | the [worker](runtime::Worker) and [its builder](runtime::WorkerBuilder), slots, deadlines, delivery, [why it stops](runtime::StopReason) |
//! | [`address`], [`text`] | what people write: addresses of servers; text and JSON in files |
//! | [`observe`] | what a worker says of itself |
//! | [`app`] | configuration, logging, traces and Sentry, health, ECS, signals, [exit codes](app::Exit), the command line |

pub mod app;
#[cfg(doctest)]
mod book;
mod cgroup;
pub mod handler;
pub mod observe;
pub mod prelude;
pub mod runtime;
mod scratch;
pub mod testing;

pub use app::{App, run};
pub use reefguide_jobs::{job, ledger, source};
pub use reefguide_storage as storage;
pub use reefguide_transport::{Chain, address, retry, text};

use reefguide_terminal::log_queue;
use reefguide_transport::{finite, trace};
