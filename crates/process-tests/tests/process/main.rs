//! The worker as a deployment runs it: a process with an environment, signals, log lines and an exit code, against a lab.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod check;
mod configuration;
mod ecs;
mod fifo_probe;
mod fixture;
mod handle;
mod healthcheck;
mod help;
mod inputs;
mod isolation;
mod killing;
#[path = "../../../reefguide-storage/tests/lab_storage/mod.rs"]
mod lab_storage;
mod logging;
mod network;
mod panics;
mod program;
#[cfg(any(feature = "otel", feature = "sentry"))]
mod receiver;
mod reference;
mod secrets;
#[cfg(feature = "sentry")]
mod sentry;
mod starting;
mod stopping;
#[cfg(feature = "otel")]
mod traces;
mod unread;
mod unwritten;
