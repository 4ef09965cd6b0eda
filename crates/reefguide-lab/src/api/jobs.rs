//! Submitting, polling, reading, listing and cancelling jobs.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::error::ApiError;
use super::request::{self, ApiRequest};
use super::response::{about, json};
use super::state::{Api, Shared};
use super::zod::Reader;
use crate::account::{Account, Role};
use crate::jsonb::Jsonb;
use crate::store::{Created, Job, JobDetails, Status};

/// The longest list of jobs, as on the real server.
const MAXIMUM_LIST: i64 = 50;

impl Api {
    /// Submits a job for the account `user`.
    pub(crate) fn submit(
        &self,
        user: i64,
        job_type: &str,
        payload: Value,
    ) -> Result<Created, ApiError> {
        if !self.types.accepts_input(job_type, &payload) {
            return Err(ApiError::Refused(format!(
                "Invalid payload for job type {job_type}"
            )));
        }
        Ok(self.store.create(user, job_type, &Jsonb::new(payload)?)?)
    }

    /// Submits a job after checking that its type exists.
    pub(crate) fn submit_any(
        &self,
        user: i64,
        job_type: &str,
        payload: Value,
    ) -> Result<Created, ApiError> {
        if !self.types.accepts(job_type) {
            return Err(ApiError::Refused(format!(
                "no job type is called {job_type}"
            )));
        }
        self.submit(user, job_type, payload)
    }

    /// Cancels a pending job on behalf of `account`. If it is assigned between the check and the write, both succeed.
    pub(crate) async fn cancel(&self, account: &Account, id: i64) -> Result<Job, ApiError> {
        let job = self.store.job(id)?.ok_or(ApiError::NO_SUCH_JOB)?;
        if account.role != Role::Admin && job.user_id != account.id {
            return Err(ApiError::role());
        }
        if job.status != Status::Pending {
            return Err(ApiError::Refused(
                "Cannot cancel jobs in a non PENDING state".to_owned(),
            ));
        }
        // Shorter than an assignment's race: most jobs that are assigned and cancelled at once end IN_PROGRESS.
        self.race_window(0.25..0.5).await;
        self.store
            .set_status(id, Status::Cancelled)?
            .ok_or(ApiError::NO_SUCH_JOB)
    }

    /// A job with its assignments.
    pub(crate) fn job(&self, id: i64) -> Result<JobDetails, ApiError> {
        self.store.details(id)?.ok_or(ApiError::NO_SUCH_JOB)
    }
}

pub(super) async fn create(State(api): Shared, request: ApiRequest) -> Result<Response, ApiError> {
    let mut body = Reader::new(&request.body);
    let job_type = body.one_of("type", &api.types.names(), |name| api.types.accepts(name));
    body.finish().map_err(ApiError::body)?;
    let user = request.analyst(&api)?;
    let payload = request
        .body
        .get("inputPayload")
        .cloned()
        .unwrap_or_default();
    let created = api.submit(user.id, job_type.unwrap_or_default(), payload)?;
    Ok(about(created.job_id, json(StatusCode::OK, &created)))
}

pub(super) async fn poll(State(api): Shared, request: ApiRequest) -> Result<Response, ApiError> {
    let mut query = Reader::new(&request.query);
    let job_type = query.optional_one_of("jobType", &api.types.names(), |name| {
        api.types.accepts(name)
    });
    query.finish().map_err(ApiError::query)?;
    request.analyst(&api)?;
    #[derive(Serialize)]
    struct Answer {
        jobs: Vec<Job>,
    }
    Ok(json(
        StatusCode::OK,
        &Answer {
            jobs: api.store.poll(job_type)?,
        },
    ))
}

pub(super) async fn job(
    State(api): Shared,
    Path(id): Path<String>,
    request: ApiRequest,
) -> Result<Response, ApiError> {
    request.analyst(&api)?;
    let id = request::id(&id)?;
    Ok(job_response(id, api.job(id)?))
}

fn job_response(id: i64, job: impl Serialize) -> Response {
    #[derive(Serialize)]
    struct Answer<T> {
        job: T,
    }
    about(id, json(StatusCode::OK, &Answer { job }))
}

fn status_filter(request: &ApiRequest) -> Result<Option<Status>, ApiError> {
    let mut query = Reader::new(&request.query);
    let status = query.optional_one_of("status", &Status::NAMES, |name| {
        Status::parse(name).is_some()
    });
    query.finish().map_err(ApiError::query)?;
    Ok(status.and_then(Status::parse))
}

fn listed(api: &Api, user: Option<i64>, status: Option<Status>) -> Result<Response, ApiError> {
    #[derive(Serialize)]
    struct Answer {
        jobs: Vec<JobDetails>,
        total: i64,
    }
    let (jobs, total) = api.store.list(user, status, MAXIMUM_LIST)?;
    Ok(json(StatusCode::OK, &Answer { jobs, total }))
}

pub(super) async fn list(State(api): Shared, request: ApiRequest) -> Result<Response, ApiError> {
    let status = status_filter(&request)?;
    let account = request.analyst(&api)?;
    let wanted = request
        .query
        .get("userId")
        .and_then(Value::as_str)
        .and_then(|text| request::id(text).ok());
    if account.role == Role::Admin {
        return listed(&api, wanted, status);
    }
    if wanted.is_some_and(|user| user != account.id) {
        let refusal = "Non-admin users cannot specify a userId other than their own.";
        return Err(ApiError::Unauthorised(refusal.to_owned()));
    }
    listed(&api, Some(account.id), status)
}

pub(super) async fn mine(State(api): Shared, request: ApiRequest) -> Result<Response, ApiError> {
    let status = status_filter(&request)?;
    let account = request.analyst(&api)?;
    listed(&api, Some(account.id), status)
}

pub(super) async fn cancel(
    State(api): Shared,
    Path(id): Path<String>,
    request: ApiRequest,
) -> Result<Response, ApiError> {
    let account = request.analyst(&api)?;
    let id = request::id(&id)?;
    Ok(job_response(id, api.cancel(account, id).await?))
}
