//! The lab's own routes: fault dials, the request log, jobs. No account is asked for, no dial touches them.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::error::ApiError;
use super::jobs::about;
use crate::account::WORKER;
use crate::fault::{Fault, FaultId};

pub(super) async fn faults(State(api): Shared) -> Response {
    Json(api.faults.all()).into_response()
}

pub(super) async fn add_fault(
    State(api): Shared,
    fault: Result<Json<Fault>, JsonRejection>,
) -> Response {
    match fault {
        Ok(Json(fault)) => (
            StatusCode::CREATED,
            Json(json!({ "id": api.faults.add(fault) })),
        )
            .into_response(),
        Err(error) => unreadable(&error),
    }
}

fn unreadable(error: &JsonRejection) -> Response {
    let error = json!({ "error": error.body_text() });
    (StatusCode::BAD_REQUEST, Json(error)).into_response()
}

pub(super) async fn clear_faults(State(api): Shared) -> StatusCode {
    api.faults.clear();
    StatusCode::NO_CONTENT
}

pub(super) async fn remove_fault(State(api): Shared, Path(id): Path<FaultId>) -> StatusCode {
    if api.faults.remove(id) {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_FOUND
    }
}

pub(super) async fn requests(State(api): Shared) -> Response {
    Json(api.log.all()).into_response()
}

#[derive(Deserialize)]
pub(super) struct NewJob {
    #[serde(rename = "type")]
    job_type: String,
    payload: Value,
}

pub(super) async fn submit(
    State(api): Shared,
    job: Result<Json<NewJob>, JsonRejection>,
) -> Result<Response, ApiError> {
    let job = match job {
        Ok(Json(job)) => job,
        Err(error) => return Ok(unreadable(&error)),
    };
    let created = api.submit_any(WORKER.id, &job.job_type, job.payload)?;
    let answer = json!({ "jobId": created.job_id, "cached": created.cached });
    Ok(about(created.job_id, Json(answer).into_response()))
}

pub(super) async fn job(State(api): Shared, Path(id): Path<i64>) -> Result<Response, ApiError> {
    Ok(Json(api.job(id)?).into_response())
}
