//! Downloads of single objects for the page.

use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::api::error::ApiError;
use crate::api::state::Shared;
use crate::s3::ObjectStoreError;

/// Identifies an object of the lab's bucket.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    key: String,
}

pub(super) async fn download(
    State(api): Shared,
    Query(Wanted { key }): Query<Wanted>,
) -> Result<Response, ApiError> {
    let objects = &api.objects;
    let contents = match objects.store.contents(&objects.bucket, &key) {
        Err(ObjectStoreError::NoSuchKey(_)) => return Err(ApiError::NotFound("Object not found")),
        contents => contents?,
    };
    let name = key.rsplit('/').next().unwrap_or_default();
    let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
    let content_type = contents.content_type.clone();
    let headers = [
        (
            CONTENT_TYPE,
            content_type.unwrap_or_else(|| "application/octet-stream".to_owned()),
        ),
        (CONTENT_LENGTH, contents.size.to_string()),
        // An output may be a web page: it must not run with the lab's origin.
        (
            CONTENT_DISPOSITION,
            format!("attachment; filename*=UTF-8''{name}"),
        ),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; sandbox".to_owned(),
        ),
    ];
    Ok((headers, Body::from_stream(contents.bytes())).into_response())
}
