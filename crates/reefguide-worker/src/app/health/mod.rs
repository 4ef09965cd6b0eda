//! The health server, the watch over the async threads, and the question that `healthcheck` asks.
//!
//! | path | answer |
//! | --- | --- |
//! | `/health` | 200 `{"status":"healthy","activeJobs":1,"maxJobs":2,…}`, or 503 with `"status":"unhealthy"` and a `reason` |
//! | `/ready` | 200 `{"status":"ready"}`, or 503 with `"status":"not ready"` and a `reason` |
//! | `/metrics` | [`Metrics`](crate::observe::metrics::Metrics) as text for Prometheus |
//!
//! What healthy and ready mean is [`crate::observe::health`]'s to say.

mod monitor;
mod routes;

use std::io;
use std::time::Duration;

pub use self::monitor::{Monitor, bind};
pub use self::routes::serve;

use self::routes::{Health, HealthStatus};
use super::platform::plain_http_client;

const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// Why health could not be served, or was not good.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HealthError {
    /// The port cannot be listened on.
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
    /// The server cannot go on.
    #[error("the health server stopped")]
    Serve(#[source] io::Error),
    /// Nobody answered as a health server does.
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

/// Asks the worker on this machine's `port` for its health, for 3 s at most.
///
/// # Errors
/// If the worker is not healthy, or if nobody answers as a worker does.
pub async fn probe(port: u16) -> Result<(), HealthError> {
    let ask = async {
        let client = plain_http_client(PROBE_TIMEOUT)?;
        let ask = |host: &str| client.get(format!("http://{host}:{port}/health")).send();
        let answer = match ask("127.0.0.1").await {
            // A machine may have IPv6 only.
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
