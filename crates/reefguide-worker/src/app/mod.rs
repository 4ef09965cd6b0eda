//! The program around a run: configuration, command line, telemetry, health server, platform and exit codes.
//!
//! This room may import every other room, and no other room imports it. A program that embeds the worker can use each
//! part alone: a part takes plain values and does not read the process environment (only
//! [`config::ConfigSources::standard`] does, and says so).

mod cli;
pub mod config;
pub mod health;
#[cfg(feature = "otel")]
pub mod otel;
mod platform;
mod program;
mod reporting;
#[cfg(feature = "sentry")]
pub mod sentry;
pub mod telemetry;

pub use platform::{ecs, process_memory};
pub use program::{App, run};
pub use reefguide_terminal::{Bar, Exit, Signal, signals, stdout};
