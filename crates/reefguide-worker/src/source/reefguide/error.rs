//! The API's five shapes of error, as one type (contract, section 1).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;

use crate::HttpClientError;
use crate::source::SourceError;

/// Largest request body the API takes, in bytes (contract, section 3).
pub(super) const BODY_LIMIT: usize = 102_400;

/// Why a call to the API failed. Each names the call, such as `POST /jobs/assign`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The client could not be set up.
    #[error("API endpoint `{endpoint}` is unusable: {reason}")]
    Endpoint {
        /// What was given.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There can be no client, as without certificates for `https`.
    #[error("API endpoint `{endpoint}` cannot be used")]
    Client {
        /// The API's endpoint.
        endpoint: String,
        /// Why.
        source: HttpClientError,
    },
    /// The proxy was not reached, or did not connect to the API.
    #[error(
        "{call}: no connection to {endpoint} through {proxy}: check it, or name the API's host in \
         NO_PROXY"
    )]
    Proxy {
        /// The call.
        call: String,
        /// The API's endpoint.
        endpoint: String,
        /// The proxy, without user and password, and the variable that names it.
        proxy: String,
        /// What happened.
        source: reqwest::Error,
    },
    /// No answer: refused connection, time-out, reset, an answer cut short.
    #[error("{call}: no answer from {endpoint}")]
    Transport {
        /// The call.
        call: String,
        /// The API's endpoint.
        endpoint: String,
        /// What happened.
        source: reqwest::Error,
    },
    /// The service refused the request (400, or another 4xx).
    #[error("{call}: refused with {status}: {message}")]
    Refused {
        /// The call.
        call: String,
        /// The answer's status.
        status: u16,
        /// What the API said.
        message: String,
    },
    /// The request does not have the form the API wants.
    #[error("{call}: {}", Issues(.issues))]
    Invalid {
        /// The call.
        call: String,
        /// What is wrong, and where.
        issues: Vec<Issue>,
    },
    /// The token is missing, malformed or expired, and a fresh one was refused as well.
    #[error("{call}: the API did not accept a fresh token")]
    TokenRejected {
        /// The call.
        call: String,
    },
    /// The account is wrong, or lacks the role.
    #[error("{call} as `{email}`: {message}")]
    Denied {
        /// The call.
        call: String,
        /// Who was refused.
        email: String,
        /// What the API said.
        message: String,
    },
    /// No such job, assignment or route.
    #[error("{call}: {message}")]
    NotFound {
        /// The call.
        call: String,
        /// What the API said.
        message: String,
    },
    /// Too many logins: five in 15 minutes for all that share an IP address.
    #[error("{call}: too many attempts{}", Wait(.retry_after))]
    RateLimited {
        /// The call.
        call: String,
        /// How long to wait.
        retry_after: Option<Duration>,
    },
    /// The API, or a load balancer before it, has trouble. A 500 may be permanent.
    #[error("{call}: the API answered {status}: {message}")]
    Server {
        /// The call.
        call: String,
        /// The answer's status.
        status: u16,
        /// What it said, shortened.
        message: String,
        /// How long to wait.
        retry_after: Option<Duration>,
    },
    /// The answer is not what the contract says.
    #[error("{call}: the answer could not be understood")]
    Answer {
        /// The call.
        call: String,
        /// Where it went wrong.
        source: serde_json::Error,
    },
    /// The request is larger than the API takes, and was not sent.
    #[error(
        "{call}: the request has {size} bytes, the API takes {BODY_LIMIT}; \
         write large results to an output file and return its path"
    )]
    TooLarge {
        /// The call.
        call: String,
        /// How large it is.
        size: usize,
    },
    /// The request has a NUL character, which the API's database cannot store, and was not sent.
    #[error("{call}: the payload has a NUL character at `{path}`, which the API cannot store")]
    Nul {
        /// The call.
        call: String,
        /// Where in the payload.
        path: String,
    },
    /// An id that no ReefGuide API would give.
    #[error("`{id}` is not a ReefGuide id: those are positive whole numbers")]
    ForeignId {
        /// The id.
        id: String,
    },
    /// Another task was logging in at the same time and failed, for both.
    #[error(transparent)]
    Login(Arc<ApiError>),
}

/// One thing wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Issue {
    /// What is wrong.
    pub message: String,
    /// Where: field names and indices.
    #[serde(default)]
    path: Vec<serde_json::Value>,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, part) in self.path.iter().enumerate() {
            let dot = if depth == 0 { "" } else { "." };
            match part.as_str() {
                Some(name) => write!(f, "{dot}{name}")?,
                None => write!(f, "[{part}]")?,
            }
        }
        let colon = if self.path.is_empty() { "" } else { ": " };
        write!(f, "{colon}{}", self.message)
    }
}

struct Issues<'a>(&'a [Issue]);

impl fmt::Display for Issues<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, issue) in self.0.iter().enumerate() {
            let separator = if nth == 0 { "" } else { "; " };
            write!(f, "{separator}{issue}")?;
        }
        Ok(())
    }
}

struct Wait<'a>(&'a Option<Duration>);

impl fmt::Display for Wait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(wait) => write!(f, "; try again in {} s", wait.as_secs()),
            None => Ok(()),
        }
    }
}

/// What an error answer may hold; every field is some shape's.
#[derive(Deserialize)]
struct Message {
    message: String,
}

#[derive(Deserialize)]
struct Schema {
    errors: SchemaErrors,
}

#[derive(Deserialize)]
struct SchemaErrors {
    issues: Vec<Issue>,
}

impl ApiError {
    /// Reads an answer that is no success. `email` is the account the call was made for.
    pub(super) fn from_answer(
        call: &str,
        email: &str,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Self {
        let call = call.to_owned();
        let said = serde_json::from_slice::<Message>(body).map(|said| said.message);
        let retry_after = retry_after(headers);
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => match said {
                Ok(message) => Self::Denied {
                    call,
                    email: email.to_owned(),
                    message,
                },
                Err(_) => Self::TokenRejected { call },
            },
            StatusCode::NOT_FOUND => Self::NotFound {
                call,
                message: said.unwrap_or_else(|_| "no such route".into()),
            },
            StatusCode::TOO_MANY_REQUESTS => Self::RateLimited { call, retry_after },
            _ if status.is_server_error() => Self::Server {
                call,
                status: status.as_u16(),
                message: said.unwrap_or_else(|_| excerpt(body)),
                retry_after,
            },
            _ => match serde_json::from_slice::<Vec<Schema>>(body) {
                Ok(schemas) => Self::Invalid {
                    call,
                    issues: schemas
                        .into_iter()
                        .flat_map(|schema| schema.errors.issues)
                        .collect(),
                },
                Err(_) => Self::Refused {
                    call,
                    status: status.as_u16(),
                    message: said.unwrap_or_else(|_| excerpt(body)),
                },
            },
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Transport { .. }
            | Self::Proxy { .. }
            | Self::RateLimited { .. }
            | Self::Server { .. } => true,
            Self::Login(error) => error.is_retryable(),
            _ => false,
        }
    }

    /// How long the API asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } | Self::Server { retry_after, .. } => {
                *retry_after
            }
            Self::Login(error) => error.retry_after(),
            _ => None,
        }
    }

    /// Whether the API is there and only wants fewer logins.
    pub fn is_rate_limited(&self) -> bool {
        match self {
            Self::RateLimited { .. } => true,
            Self::Login(error) => error.is_rate_limited(),
            _ => false,
        }
    }

    /// Whether the account was refused: wrong credentials, or a role that is missing.
    pub fn is_denied(&self) -> bool {
        match self {
            Self::Denied { .. } | Self::TokenRejected { .. } => true,
            Self::Login(error) => error.is_denied(),
            _ => false,
        }
    }

    /// Whether the API may have done what it was asked although it did not say so.
    pub(super) fn may_have_acted(&self) -> bool {
        match self {
            Self::Transport { source, .. } => !source.is_connect() && !source.is_builder(),
            Self::Server { .. } | Self::Answer { .. } => true,
            _ => false,
        }
    }
}

impl From<ApiError> for SourceError {
    fn from(error: ApiError) -> Self {
        let source = |error: ApiError| Box::new(error);
        match &error {
            _ if error.is_retryable() => Self::Unavailable {
                retry_after: error.retry_after(),
                source: source(error),
            },
            // Whatever the reason, without a token every call is refused.
            ApiError::Login(_) => Self::Denied {
                source: source(error),
            },
            _ if error.is_denied() => Self::Denied {
                source: source(error),
            },
            ApiError::TooLarge { .. } | ApiError::Nul { .. } => Self::ResultRefused {
                source: source(error),
            },
            _ => Self::Refused {
                source: source(error),
            },
        }
    }
}

/// The wait a `Retry-After` header asks for: seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    let wait = date.duration_since(jiff::Timestamp::now());
    Some(wait.try_into().unwrap_or(Duration::ZERO))
}

/// The beginning of a body that is not JSON, such as a load balancer's HTML, on one line.
fn excerpt(body: &[u8]) -> String {
    const LONGEST: usize = 120;
    let text = String::from_utf8_lossy(&body[..body.len().min(4 * LONGEST)]);
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.is_empty() {
        return "an empty body".into();
    }
    match words.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn read(status: u16, body: &str) -> ApiError {
        let status = StatusCode::from_u16(status).unwrap();
        ApiError::from_answer("POST /x", "w@x", status, &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn each_shape_of_error_is_told_apart() {
        let shapes = [
            (
                400,
                r#"{"status":400,"message":"Job is not available for assignment"}"#,
            ),
            (
                400,
                r#"[{"type":"Body","errors":{"issues":[{"code":"invalid_type","path":["jobId"],"message":"Required"},{"code":"x","path":["regions",0,"description"],"message":"Expected string, received null"}],"name":"ZodError"}}]"#,
            ),
            (401, "Unauthorized"),
            (
                401,
                r#"{"status":401,"message":"You are not authorised to access this service."}"#,
            ),
            (404, r#"{"status":404,"message":"Job not found"}"#),
            (
                404,
                "<!DOCTYPE html>\n<html><pre>Cannot GET /api/health</pre></html>",
            ),
            (429, r#"{"error":"Too many attempts."}"#),
            (
                500,
                r#"{"status":500,"message":"An unexpected error occurred"}"#,
            ),
            (502, "<html>\n<head><title>502 Bad Gateway</title></head>"),
            (503, ""),
        ];
        let read = shapes
            .map(|(status, body)| {
                let error = read(status, body);
                format!("{status} retryable={:<5} {error}", error.is_retryable())
            })
            .join("\n");
        insta::assert_snapshot!(read);
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
            retry_after(&headers)
        };
        assert_eq!(with("900"), Some(Duration::from_secs(900)));
        assert_eq!(with("Sun, 22 Nov 2020 21:22:43 GMT"), Some(Duration::ZERO));
        assert!(with("Sun, 22 Nov 2099 21:22:43 GMT").unwrap() > Duration::from_secs(900));
        assert_eq!(with("soon"), None);
    }

    #[test]
    fn too_many_attempts_are_told_from_other_trouble_whoever_logged_in() {
        let others = |error| ApiError::Login(Arc::new(error));
        assert!(read(429, "").is_rate_limited());
        assert!(others(read(429, "")).is_rate_limited());
        assert!(!read(503, "").is_rate_limited());
        assert!(!others(read(503, "")).is_rate_limited());
    }

    #[test]
    fn only_a_request_that_was_sent_and_not_refused_may_have_acted() {
        let never_sent = ApiError::Transport {
            call: "POST /x".into(),
            endpoint: "http://api".into(),
            source: reqwest::Client::new().get("no URL").build().unwrap_err(),
        };
        assert!(!never_sent.may_have_acted());
        assert!(!read(400, r#"{"message":"taken"}"#).may_have_acted());
        assert!(!read(429, "").may_have_acted());
        assert!(read(500, "").may_have_acted());
    }

    #[test]
    fn a_result_that_the_api_cannot_store_is_refused_as_a_result() {
        let call = || "POST /x".to_owned();
        let size = BODY_LIMIT + 1;
        let path = "a".to_owned();
        for error in [
            ApiError::TooLarge { call: call(), size },
            ApiError::Nul { call: call(), path },
        ] {
            let error = SourceError::from(error);
            assert!(
                matches!(error, SourceError::ResultRefused { .. }),
                "{error:?}"
            );
        }
    }
}
