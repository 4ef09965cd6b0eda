//! Presigned URLs for the files that a finished job left at its storage location.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use std::collections::BTreeMap;

use super::error::ApiError;
use super::request::{self, ApiRequest};
use super::response::{about, json};
use super::state::Shared;
use super::zod::Reader;
use crate::s3;
use crate::store::Status;

/// A location with more files cannot be downloaded.
const MAXIMUM_FILES: usize = 25;
const URL_LIFE_SECONDS: u64 = 3600;

#[derive(Serialize)]
struct Answer {
    job: Summary,
    files: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Summary {
    id: i64,
    r#type: String,
    status: Status,
}

pub(super) async fn download(
    State(api): Shared,
    Path(id): Path<String>,
    request: ApiRequest,
) -> Result<Response, ApiError> {
    let mut query = Reader::new(&request.query);
    let (expiry, filter) = (
        query.optional_string("expirySeconds"),
        query.optional_string("filterPrefix"),
    );
    query.finish().map_err(ApiError::query)?;
    request.analyst(&api)?;
    let id = request::id(&id)?;
    let details = api.job(id)?;
    // The first assignment that has a result is served, even if that result was a failure.
    let served = details
        .assignments
        .iter()
        .filter(|held| held.result.is_some())
        .min_by_key(|held| held.assignment.id);
    let served = served.filter(|_| details.job.status == Status::Succeeded);
    let location =
        served.ok_or_else(|| ApiError::Refused("Job has no results to download".to_owned()))?;

    let objects = &api.objects;
    let path = objects.prefix(&location.assignment.storage_uri);
    // A plain prefix: it also lists a sibling's keys that begin with the same characters.
    let prefix = filter
        .filter(|filter| !filter.is_empty())
        .map_or_else(|| path.to_owned(), |filter| format!("{path}/{filter}"));
    let keys = objects
        .store
        .list_keys(&objects.bucket, &prefix, MAXIMUM_FILES + 1)?;
    if keys.len() > MAXIMUM_FILES {
        return Err(ApiError::Refused(format!(
            "Location contains more than {MAXIMUM_FILES} files"
        )));
    }
    let life = expiry
        .and_then(|text| request::id(text).ok())
        .and_then(|seconds| seconds.try_into().ok())
        .unwrap_or(URL_LIFE_SECONDS);
    let endpoint = objects.endpoint_at(request.host.as_deref());
    let (region, credentials) = (objects.region, &objects.credentials);
    let file = |key: String| {
        let url = s3::presign_get(&endpoint, region, credentials, &objects.bucket, &key, life);
        (key[path.len()..].trim_start_matches('/').to_owned(), url)
    };
    let files = keys.into_iter().map(file).collect();
    let job = Summary {
        id,
        r#type: details.job.r#type,
        status: details.job.status,
    };
    Ok(about(id, json(StatusCode::OK, &Answer { job, files })))
}
