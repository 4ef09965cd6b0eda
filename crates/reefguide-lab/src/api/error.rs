//! The error shapes of the API (`docs/src/reference/api-contract.md`, "Errors come in five shapes").

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use super::response::json;
use super::zod::{self, Issue, RequestPart};
use crate::jsonb::Unstorable;
use crate::store::JobStoreError;

/// Why a request fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("the request does not match its schema")]
    Invalid(RequestPart, Vec<Issue>),
    #[error("{0}")]
    Refused(String),
    #[error("no valid access token")]
    Token,
    #[error("{0}")]
    Unauthorised(String),
    #[error("{0}")]
    Forbidden(String),
    #[error("{0}")]
    NotFound(&'static str),
    #[error(
        "the body is not a JSON object or array, is too long, or has an encoding that the server does not read"
    )]
    Body,
    #[error("`{0}` is not an id")]
    Id(String),
    #[error(transparent)]
    Unstorable(#[from] Unstorable),
    #[error(transparent)]
    Store(#[from] JobStoreError),
    #[error("the object store failed")]
    Objects(#[from] crate::s3::ObjectStoreError),
    #[error("a token could not be signed")]
    Signing(#[from] aws_lc_rs::error::Unspecified),
}

impl ApiError {
    pub(crate) const NO_SUCH_JOB: Self = Self::NotFound("Job not found");

    /// The account's role is not sufficient.
    pub(crate) fn role() -> Self {
        Self::Unauthorised("You are not authorised to access this service.".to_owned())
    }

    pub(crate) fn body(issues: Vec<Issue>) -> Self {
        Self::Invalid(RequestPart::Body, issues)
    }

    pub(crate) fn query(issues: Vec<Issue>) -> Self {
        Self::Invalid(RequestPart::Query, issues)
    }
}

#[derive(Serialize)]
struct Message<'a> {
    status: u16,
    message: &'a str,
}

fn message(status: StatusCode, message: &str) -> Response {
    json(
        status,
        &Message {
            status: status.as_u16(),
            message,
        },
    )
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        match self {
            Self::Invalid(part, issues) => {
                json(StatusCode::BAD_REQUEST, &zod::report(part, &issues))
            }
            Self::Refused(text) => message(StatusCode::BAD_REQUEST, &text),
            Self::Token => {
                let mut response = "Unauthorized".into_response();
                response.headers_mut().clear();
                *response.status_mut() = StatusCode::UNAUTHORIZED;
                response
            }
            Self::Unauthorised(text) => message(StatusCode::UNAUTHORIZED, &text),
            Self::Forbidden(text) => message(StatusCode::FORBIDDEN, &text),
            Self::NotFound(text) => message(StatusCode::NOT_FOUND, text),
            Self::Body
            | Self::Id(_)
            | Self::Unstorable(_)
            | Self::Store(_)
            | Self::Objects(_)
            | Self::Signing(_) => {
                tracing::warn!(
                    error = &self as &dyn std::error::Error,
                    "responded with 500"
                );
                message(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "An unexpected error occurred",
                )
            }
        }
    }
}
