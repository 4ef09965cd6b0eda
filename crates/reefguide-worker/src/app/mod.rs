//! What surrounds a run: configuration, telemetry, ECS, signals, health, exit codes, the command line and its
//! progress bar.
//!
//! This room knows every other room and none knows it. A program embedding the worker may use any
//! part of it alone: each takes plain values and none reads the process environment behind its back
//! (only [`config::ConfigSources::standard`] does, and says so).

mod cli;
pub mod config;
pub mod ecs;
pub mod health;
mod limits;
#[cfg(feature = "otel")]
pub mod otel;
mod paths;
pub mod process_memory;
mod program;
mod reporting;
#[cfg(feature = "sentry")]
pub mod sentry;
pub mod telemetry;

pub use program::{App, run};
pub use reefguide_terminal::{Bar, Exit, Signal, signals, stdout};

use std::time::Duration;

use reqwest::redirect::Policy;

/// A client for plain HTTP to this machine or its host: it uses no proxy, and it needs no root
/// certificates, which a minimal image may not have.
fn plain_http_client(timeout: Duration) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .no_proxy()
        .redirect(Policy::none())
        .tls_certs_only([])
        .timeout(timeout)
        .build()
}
