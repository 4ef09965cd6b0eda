//! The lab's own routes: faults, the request log, jobs and the page. They need no account, and faults do not apply to
//! them.

use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ApiError;
use super::page;
use super::response::about;
use super::state::{Api, Shared};
use crate::account::WORKER;
use crate::fault::Fault;
use crate::faults::FaultId;

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route(
            "/lab/faults",
            get(faults).post(add_fault).delete(clear_faults),
        )
        .route("/lab/faults/{id}", delete(remove_fault))
        .route("/lab/requests", get(requests))
        .route("/lab/jobs", post(submit))
        .route("/lab/jobs/{id}", get(job))
        .route("/lab/jobs/{id}/cancel", post(cancel))
        .merge(page::routes())
}

async fn faults(State(api): Shared) -> Response {
    Json(api.faults.all()).into_response()
}

async fn add_fault(State(api): Shared, fault: Result<Json<Fault>, JsonRejection>) -> Response {
    match fault {
        Ok(Json(fault)) => {
            let id = api.faults.add(fault);
            (StatusCode::CREATED, Json(json!({ "id": id }))).into_response()
        }
        Err(error) => unreadable(&error),
    }
}

fn unreadable(error: &JsonRejection) -> Response {
    let error = json!({ "error": error.body_text() });
    (StatusCode::BAD_REQUEST, Json(error)).into_response()
}

async fn clear_faults(State(api): Shared) -> StatusCode {
    api.faults.clear();
    StatusCode::NO_CONTENT
}

async fn remove_fault(State(api): Shared, Path(id): Path<FaultId>) -> StatusCode {
    if api.faults.remove(id) {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::NOT_FOUND
    }
}

async fn requests(State(api): Shared) -> Response {
    Json(api.log.all()).into_response()
}

#[derive(Deserialize)]
struct NewJob {
    #[serde(rename = "type")]
    job_type: String,
    payload: Value,
}

async fn submit(
    State(api): Shared,
    job: Result<Json<NewJob>, JsonRejection>,
) -> Result<Response, ApiError> {
    let job = match job {
        Ok(Json(job)) => job,
        Err(error) => return Ok(unreadable(&error)),
    };
    let mismatches = api.types.mismatches(&job.job_type, &job.payload);
    if !mismatches.is_empty() {
        let message = format!("Invalid payload for job type {}", job.job_type);
        let answer = json!({ "status": 400, "message": message, "errors": mismatches });
        return Ok((StatusCode::BAD_REQUEST, Json(answer)).into_response());
    }
    let created = api.submit_any(WORKER.id, &job.job_type, job.payload)?;
    let answer = json!({ "jobId": created.job_id, "cached": created.cached });
    Ok(about(created.job_id, Json(answer).into_response()))
}

async fn job(State(api): Shared, Path(id): Path<i64>) -> Result<Response, ApiError> {
    Ok(Json(api.job(id)?).into_response())
}

async fn cancel(State(api): Shared, Path(id): Path<i64>) -> Result<Response, ApiError> {
    Ok(Json(api.cancel(&WORKER, id).await?).into_response())
}
