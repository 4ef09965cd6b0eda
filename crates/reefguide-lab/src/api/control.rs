//! The lab's own routes: fault dials and the request log. No account is asked for, no dial touches them.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::json;

use super::Shared;
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
        Err(error) => (
            StatusCode::BAD_REQUEST,
            Json(json!({ "error": error.body_text() })),
        )
            .into_response(),
    }
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
