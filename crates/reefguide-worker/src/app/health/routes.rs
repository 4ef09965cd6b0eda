//! What the health server answers.

use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::HealthError;
use crate::observe::health;
use crate::observe::metrics::{self, Metrics};

/// The body of `/health`. The first three fields are those of the reference workers; times are whole
/// seconds.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Health {
    pub(super) status: HealthStatus,
    active_jobs: usize,
    max_jobs: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    #[serde(flatten)]
    more: Option<More>,
}

#[derive(PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum HealthStatus {
    Healthy,
    Unhealthy,
}

/// What the reference workers do not tell.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct More {
    phase: String,
    version: String,
    uptime_seconds: u64,
    seconds_since_poll: Option<u64>,
    seconds_since_contact: Option<u64>,
    token_age_seconds: Option<u64>,
    token_left_seconds: Option<u64>,
}

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Clone)]
struct Told {
    health: health::Health,
    metrics: Metrics,
}

/// Answers `GET /health`, `/ready` and `/metrics` until `shutdown` is cancelled. Requests under way are
/// not waited for: a client that sends nothing cannot hold up the end. Dropping the future does the
/// same.
///
/// # Errors
/// If the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    health: health::Health,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> Result<(), HealthError> {
    let app = Router::new()
        .route("/health", get(healthy))
        .route("/ready", get(ready))
        .route("/metrics", get(counted))
        .with_state(Told { health, metrics });
    let server = axum::serve(listener, app).into_future();
    match shutdown.run_until_cancelled(server).await {
        Some(ended) => ended.map_err(HealthError::Serve),
        None => Ok(()),
    }
}

fn code(good: bool) -> StatusCode {
    match good {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    }
}

async fn healthy(State(Told { health, .. }): State<Told>) -> impl IntoResponse {
    let report = health.report();
    let status = match report.unhealthy_reason {
        None => HealthStatus::Healthy,
        Some(_) => HealthStatus::Unhealthy,
    };
    let seconds = |time: Duration| time.as_secs();
    let body = Health {
        status,
        active_jobs: report.active_jobs,
        max_jobs: report.max_jobs,
        reason: report.unhealthy(),
        more: Some(More {
            phase: report.phase.as_str().to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: report.uptime.as_secs(),
            seconds_since_poll: report.since_poll.map(seconds),
            seconds_since_contact: report.since_contact.map(seconds),
            token_age_seconds: report.token.map(|token| token.age.as_secs()),
            token_left_seconds: report.token.map(|token| token.left.as_secs()),
        }),
    };
    (code(report.unhealthy_reason.is_none()), Json(body))
}

async fn ready(State(Told { health, .. }): State<Told>) -> impl IntoResponse {
    let reason = health.report().unready();
    let (code, status) = match reason {
        None => (code(true), "ready"),
        Some(_) => (code(false), "not ready"),
    };
    (code, Json(Ready { status, reason }))
}

async fn counted(State(Told { health, metrics }): State<Told>) -> impl IntoResponse {
    let text = metrics.text(&health.report());
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text)
}
