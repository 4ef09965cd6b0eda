//! The error shapes of the API.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use super::answer::json;
use super::zod::{self, Issue, Part};
use crate::jsonb::Unstorable;
use crate::store::StoreError;

/// Why a request gets no answer of the good kind.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("the request does not fit its schema")]
    Misfit(Part, Vec<Issue>),
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
        "the body is no JSON object or array, or too long, or in an encoding the server does not read"
    )]
    Body,
    #[error("`{0}` is no id")]
    Id(String),
    #[error(transparent)]
    Unstorable(#[from] Unstorable),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the object store failed")]
    Objects(#[from] crate::s3::StoreError),
    #[error("a token could not be signed")]
    Signing(#[from] aws_lc_rs::error::Unspecified),
}

impl ApiError {
    /// The account's role does not suffice.
    pub(crate) fn role() -> Self {
        Self::Unauthorised("You are not authorised to access this service.".to_owned())
    }

    pub(crate) fn body(issues: Vec<Issue>) -> Self {
        Self::Misfit(Part::Body, issues)
    }

    pub(crate) fn query(issues: Vec<Issue>) -> Self {
        Self::Misfit(Part::Query, issues)
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
            Self::Misfit(part, issues) => {
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
                tracing::warn!(error = &self as &dyn std::error::Error, "answered 500");
                message(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "An unexpected error occurred",
                )
            }
        }
    }
}
