//! The health server, the watch over the async threads, and the request of `healthcheck`.
//!
//! | path | answer |
//! | --- | --- |
//! | `/health` | 200 `{"status":"healthy","activeJobs":1,"maxJobs":2,…}`, or 503 with `"status":"unhealthy"` and a `reason` |
//! | `/ready` | 200 `{"status":"ready"}`, or 503 with `"status":"not ready"` and a `reason` |
//! | `/metrics` | [`Metrics`](crate::observe::metrics::Metrics) as text for Prometheus |
//!
//! [`crate::observe::health`] defines healthy and ready.

mod monitor;
mod routes;

use std::io;
use std::time::Duration;

pub use self::monitor::{Monitor, bind};
pub use self::routes::serve;

use self::routes::{Health, HealthStatus};
use super::platform::plain_http_client;

const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// Why health could not be served, or why the worker is not healthy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HealthError {
    /// The worker cannot listen on the port.
    #[error("cannot listen on port {port}: choose another PORT, or unset it to serve no health")]
    Bind {
        /// The port.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// The thread that watches and serves cannot be started.
    #[error("cannot start the health thread")]
    Start(#[source] io::Error),
    /// The server failed.
    #[error("the health server stopped")]
    Serve(#[source] io::Error),
    /// No health server answered.
    #[error("no health at http://127.0.0.1:{port}/health; check that a worker runs with this PORT")]
    NoAnswer {
        /// The port asked.
        port: u16,
        /// Why.
        source: reqwest::Error,
    },
    /// The worker says that it is not healthy.
    #[error("the worker is not healthy: {reason}")]
    Unhealthy {
        /// Its reason.
        reason: String,
    },
}

/// Asks the worker on this machine's `port` for its health, for at most 3 s.
///
/// # Errors
/// If the worker is not healthy, or if no worker answers.
pub async fn probe(port: u16) -> Result<(), HealthError> {
    let ask = async {
        let client = plain_http_client(PROBE_TIMEOUT)?;
        let ask = |host: &str| client.get(format!("http://{host}:{port}/health")).send();
        let answer = match ask("127.0.0.1").await {
            // The machine may have only IPv6.
            Err(error) if error.is_connect() => ask("[::1]").await.map_err(|_| error),
            answer => answer,
        };
        answer?.json::<Health>().await
    };
    let health = ask.await.map_err(|error| HealthError::NoAnswer {
        port,
        source: error.without_url(),
    })?;
    match health.status {
        HealthStatus::Healthy => Ok(()),
        HealthStatus::Unhealthy => Err(HealthError::Unhealthy {
            reason: health.reason.unwrap_or_else(|| "it gives no reason".into()),
        }),
    }
}
