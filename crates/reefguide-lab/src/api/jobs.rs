//! Jobs: submitted, polled, read, listed, cancelled.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use serde_json::Value;

use super::answer::json;
use super::call::{self, Call};
use super::error::ApiError;
use super::zod::Reader;
use super::{Api, Shared};
use crate::account::{Account, Role};
use crate::gate::AboutJob;
use crate::jsonb::Jsonb;
use crate::store::{Created, Job, JobDetails, Status};

/// How many jobs a list shows.
const LISTED: i64 = 50;

pub(crate) const NO_SUCH_JOB: ApiError = ApiError::NotFound("Job not found");

impl Api {
    /// Submits a job for the account `user`.
    pub(crate) fn submit(
        &self,
        user: i64,
        job_type: &str,
        payload: Value,
    ) -> Result<Created, ApiError> {
        if !self.types.input_fits(job_type, &payload) {
            return Err(ApiError::Refused(format!(
                "Invalid payload for job type {job_type}"
            )));
        }
        Ok(self.store.create(user, job_type, &Jsonb::new(payload)?)?)
    }

    /// Submits a job of a type that nobody has checked yet.
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

    /// Cancels a waiting job in the name of `account`. It may be assigned between the check and the write, which then
    /// both succeed.
    pub(crate) async fn cancel(&self, account: &Account, id: i64) -> Result<Job, ApiError> {
        let job = self.store.job(id)?.ok_or(NO_SUCH_JOB)?;
        if account.role != Role::Admin && job.user_id != account.id {
            return Err(ApiError::role());
        }
        if job.status != Status::Pending {
            return Err(ApiError::Refused(
                "Cannot cancel jobs in a non PENDING state".to_owned(),
            ));
        }
        // Sooner than an assignment is written: most jobs that meet both end IN_PROGRESS.
        self.race(0.25..0.5).await;
        self.store
            .set_status(id, Status::Cancelled)?
            .ok_or(NO_SUCH_JOB)
    }

    /// A job with its assignments.
    pub(crate) fn job(&self, id: i64) -> Result<JobDetails, ApiError> {
        self.store.details(id)?.ok_or(NO_SUCH_JOB)
    }
}

/// An answer that says so in the request log.
pub(super) fn about(job: i64, mut response: Response) -> Response {
    response.extensions_mut().insert(AboutJob(job));
    response
}

pub(super) async fn create(State(api): Shared, call: Call) -> Result<Response, ApiError> {
    let mut body = Reader::new(&call.body);
    let job_type = body.one_of("type", &api.types.names(), |name| api.types.accepts(name));
    body.finish().map_err(ApiError::body)?;
    let user = call.analyst(&api)?;
    let payload = call.body.get("inputPayload").cloned().unwrap_or_default();
    let created = api.submit(user.id, job_type.unwrap_or_default(), payload)?;
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        job_id: i64,
        cached: bool,
        request_id: i64,
    }
    let answer = Answer {
        job_id: created.job_id,
        cached: created.cached,
        request_id: created.request_id,
    };
    Ok(about(created.job_id, json(StatusCode::OK, &answer)))
}

pub(super) async fn poll(State(api): Shared, call: Call) -> Result<Response, ApiError> {
    let mut query = Reader::new(&call.query);
    let job_type = query.optional_one_of("jobType", &api.types.names(), |name| {
        api.types.accepts(name)
    });
    query.finish().map_err(ApiError::query)?;
    call.analyst(&api)?;
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
    call: Call,
) -> Result<Response, ApiError> {
    call.analyst(&api)?;
    let id = call::id(&id)?;
    #[derive(Serialize)]
    struct Answer {
        job: JobDetails,
    }
    Ok(about(
        id,
        json(StatusCode::OK, &Answer { job: api.job(id)? }),
    ))
}

fn status_filter(call: &Call) -> Result<Option<Status>, ApiError> {
    let mut query = Reader::new(&call.query);
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
    let (jobs, total) = api.store.list(user, status, LISTED)?;
    Ok(json(StatusCode::OK, &Answer { jobs, total }))
}

pub(super) async fn list(State(api): Shared, call: Call) -> Result<Response, ApiError> {
    let status = status_filter(&call)?;
    let account = call.analyst(&api)?;
    let wanted = call
        .query
        .get("userId")
        .and_then(Value::as_str)
        .and_then(|text| call::id(text).ok());
    if account.role == Role::Admin {
        return listed(&api, wanted, status);
    }
    if wanted.is_some_and(|user| user != account.id) {
        let refusal = "Non-admin users cannot specify a userId other than their own.";
        return Err(ApiError::Unauthorised(refusal.to_owned()));
    }
    listed(&api, Some(account.id), status)
}

pub(super) async fn mine(State(api): Shared, call: Call) -> Result<Response, ApiError> {
    let status = status_filter(&call)?;
    let account = call.analyst(&api)?;
    listed(&api, Some(account.id), status)
}

pub(super) async fn cancel(
    State(api): Shared,
    Path(id): Path<String>,
    call: Call,
) -> Result<Response, ApiError> {
    let account = call.analyst(&api)?;
    let id = call::id(&id)?;
    #[derive(Serialize)]
    struct Answer {
        job: Job,
    }
    let job = api.cancel(account, id).await?;
    Ok(about(id, json(StatusCode::OK, &Answer { job })))
}
