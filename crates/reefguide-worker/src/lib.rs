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
//! | [`health`], [`metrics`] | what a worker says of itself |
//! | [`service`] | configuration, logging, traces and Sentry, health, ECS, signals, [exit codes](service::exit::Exit), the command line |

pub mod address;
#[cfg(doctest)]
mod book;
mod chain;
mod finite;
pub mod handler;
pub mod health;
mod http_client;
pub mod job;
mod job_log;
mod log_queue;
pub mod metrics;
pub mod prelude;
pub mod retry;
pub mod runtime;
mod scratch;
pub mod service;
pub mod source;
pub mod storage;
pub mod testing;
pub mod text;
mod trace;

pub use chain::Chain;
pub use http_client::{HttpClientError, NoCertificates};
pub use service::{App, run};
