// Links into the API do not work in the README on GitHub, so they are here.
#![doc = include_str!("../README.md")]
//!
//! ## Modules
//!
//! | module | contents |
//! | --- | --- |
//! | [`handler`] | [`JobHandler`](handler::JobHandler) and [`BlockingJobHandler`](handler::BlockingJobHandler), [errors](handler::JobError), [the context](handler::JobContext), the registry, [programs](handler::Program) in other languages |
//! | [`testing`] | the [harness](testing::Harness) for handlers |
//! | [`storage`] | storage URIs, S3 and folders, the [cache of inputs](storage::InputCache), [outputs](storage::Outputs) and their publication |
//! | [`job`] | job, assignment, claim, outcome |
//! | [`source`] | where jobs come from; [`source::reefguide`] is the API's client and the claim fence |
//! | [`runtime`] | the [worker](runtime::Worker) and [its builder](runtime::WorkerBuilder), slots, deadlines, delivery, [stop reasons](runtime::StopReason) |
//! | [`address`], [`text`] | addresses of servers, and text and JSON files, as people write them |
//! | [`observe`] | metrics, health and job logs |
//! | [`app`] | [`run`]: the command line, configuration, logging, traces, Sentry, the health server, ECS, signals and [exit codes](app::Exit) |

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
