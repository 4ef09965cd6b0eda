//! Claiming a job and reporting its result. The server does not guard either against races
//! (`docs/src/reference/api-contract.md`, "Claiming is a race that the server does not decide").

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use super::error::ApiError;
use super::request::{self, ApiRequest};
use super::response::{about, json};
use super::state::Shared;
use super::zod::Reader;
use crate::jsonb::{Jsonb, Unstorable};
use crate::store::{Assignment, NewAssignment, NewResult, Status, Time};

pub(super) async fn assign(State(api): Shared, request: ApiRequest) -> Result<Response, ApiError> {
    let mut body = Reader::new(&request.body);
    let job_id = body.number("jobId");
    let (task_arn, cluster_arn) = (body.string("ecsTaskArn"), body.string("ecsClusterArn"));
    body.finish().map_err(ApiError::body)?;
    request.analyst(&api)?;
    let job_id = request::database_id(job_id).ok_or_else(|| ApiError::Id(format!("{job_id:?}")))?;
    let (task_arn, cluster_arn) = (
        task_arn.unwrap_or_default(),
        cluster_arn.unwrap_or_default(),
    );
    if task_arn.contains('\0') || cluster_arn.contains('\0') {
        return Err(Unstorable::Nul.into());
    }
    let job = api.store.job(job_id)?.ok_or(ApiError::NO_SUCH_JOB)?;
    if job.status != Status::Pending {
        return Err(ApiError::Refused(
            "Job is not available for assignment".to_owned(),
        ));
    }
    let now = Time::now();
    let kind = job.r#type.to_lowercase();
    let storage_uri = format!(
        "s3://{}/results/{kind}/{job_id}/{}",
        api.objects.bucket, now.0
    );
    let expires_at = now.plus(api.types.expiry(&job.r#type));
    api.race_window(0.5..1.0).await;
    let new = NewAssignment {
        job_id,
        task_arn,
        cluster_arn,
        expires_at,
        storage_uri: &storage_uri,
    };
    #[derive(Serialize)]
    struct Answer {
        assignment: Assignment,
    }
    let assignment = api.store.assign(&new)?;
    Ok(about(job_id, json(StatusCode::OK, &Answer { assignment })))
}

pub(super) async fn result(
    State(api): Shared,
    Path(id): Path<String>,
    request: ApiRequest,
) -> Result<Response, ApiError> {
    let mut body = Reader::new(&request.body);
    let status = body.one_of("status", &Status::NAMES, |name| {
        Status::parse(name).is_some()
    });
    body.finish().map_err(ApiError::body)?;
    request.analyst(&api)?;
    let found = api.store.assignment(request::id(&id)?)?;
    let (assignment, job_type) = found.ok_or(ApiError::NotFound("Assignment not found"))?;
    if assignment.completed_at.is_some() {
        return Err(ApiError::Refused(
            "Assignment already completed!".to_owned(),
        ));
    }
    let payload = request
        .body
        .get("resultPayload")
        .cloned()
        .unwrap_or_default();
    if is_truthy(&payload) && !api.types.accepts_result(&job_type, &payload) {
        return Err(ApiError::Refused(format!(
            "Invalid result payload for job type {job_type}"
        )));
    }
    let payload = Jsonb::new(payload)?;
    let status = status.and_then(Status::parse).unwrap_or(Status::Pending);
    api.race_window(0.5..1.0).await;
    api.store.record_result(&NewResult {
        assignment: &assignment,
        status,
        payload: &payload,
    })?;
    Ok(about(assignment.job_id, StatusCode::OK.into_response()))
}

/// Whether the value is truthy in JavaScript. The server does not check payloads that are not.
fn is_truthy(value: &serde_json::Value) -> bool {
    use serde_json::Value;
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}
