//! The health server, and the question that `healthcheck` asks it.
//!
//! `GET /health` answers 200 `{"status":"healthy","activeJobs":1,"maxJobs":2}`, or 503 with
//! `"status":"unhealthy"` and a `reason`. What healthy means is [`crate::health`]'s to say.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::plain_http_client;
use crate::health::Health;

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

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    status: Status,
    active_jobs: usize,
    max_jobs: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Healthy,
    Unhealthy,
}

/// Listens on `port` on all interfaces.
///
/// # Errors
/// If the port cannot be had.
pub async fn bind(port: u16) -> Result<TcpListener, HealthError> {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        .await
        .map_err(|source| HealthError::Bind { port, source })
}

/// Answers `GET /health` until `shutdown` is cancelled. Requests under way are not waited for: a
/// client that sends nothing cannot hold up the end. Dropping the future does the same.
///
/// # Errors
/// If the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    health: Health,
    shutdown: CancellationToken,
) -> Result<(), HealthError> {
    let app = Router::new()
        .route("/health", get(answer))
        .with_state(health);
    let server = axum::serve(listener, app).into_future();
    match shutdown.run_until_cancelled(server).await {
        Some(ended) => ended.map_err(HealthError::Serve),
        None => Ok(()),
    }
}

async fn answer(State(health): State<Health>) -> (StatusCode, Json<Body>) {
    let report = health.report();
    let (code, status) = match report.ailment {
        None => (StatusCode::OK, Status::Healthy),
        Some(_) => (StatusCode::SERVICE_UNAVAILABLE, Status::Unhealthy),
    };
    let body = Body {
        status,
        active_jobs: report.active_jobs,
        max_jobs: report.max_jobs,
        reason: report.ailment.map(|ailment| ailment.to_string()),
    };
    (code, Json(body))
}

/// Asks the worker on this machine's `port` for its health, for 3 s at most.
///
/// # Errors
/// If the worker is not healthy, or if nobody answers as a worker does.
pub async fn probe(port: u16) -> Result<(), HealthError> {
    let ask = async {
        let url = format!("http://127.0.0.1:{port}/health");
        plain_http_client(PROBE_TIMEOUT)?
            .get(url)
            .send()
            .await?
            .json::<Body>()
            .await
    };
    let body = ask.await.map_err(|error| HealthError::NoAnswer {
        port,
        source: error.without_url(),
    })?;
    match body.status {
        Status::Healthy => Ok(()),
        Status::Unhealthy => Err(HealthError::Unhealthy {
            reason: body.reason.unwrap_or_else(|| "it gives no reason".into()),
        }),
    }
}
