//! Why a call failed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use reefguide_transport::http_client::HttpClientError;

/// How deeply a payload or a result may be nested. JSON libraries have a limit, `serde_json` 128 levels, and other
/// objects are wrapped around the value: answers, claim records, the messages to isolated handlers.
pub(super) const DEPTH_LIMIT: usize = 100;

/// The largest request body that the API accepts, in bytes (API contract, "Results").
pub(super) const BODY_LIMIT: usize = 102_400;

/// Why a call to the API failed. Errors name the call, such as `POST /jobs/assign`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiError {
    /// The endpoint is not an address.
    #[error("API endpoint {endpoint} is unusable: {reason}")]
    Endpoint {
        /// What was given, in quotes; `[redacted]` if it may hold a password.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No HTTP client can be created, for example because there are no certificates for `https`.
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
    /// No complete answer: the connection was refused, timed out, or was reset.
    #[error("{call}: no answer from {endpoint}")]
    Transport {
        /// The call.
        call: String,
        /// The API's endpoint.
        endpoint: String,
        /// What happened.
        source: reqwest::Error,
    },
    /// The service refused the request.
    #[error("{call}: refused with {status}: {message}")]
    Refused {
        /// The call.
        call: String,
        /// The answer's status.
        status: u16,
        /// What the API said.
        message: String,
    },
    /// The request does not match the API's schema.
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
    /// The credentials are wrong, or the account lacks a role.
    #[error("{call} as `{email}`: {message}")]
    Denied {
        /// The call.
        call: String,
        /// The account.
        email: String,
        /// What the API said.
        message: String,
    },
    /// The service says that there is no such thing; see [`is_gone`](Self::is_gone).
    #[error("{call}: {message}")]
    NotFound {
        /// The call.
        call: String,
        /// What the API said.
        message: String,
    },
    /// Too many logins: the API allows five in 15 minutes for each IP address.
    #[error("{call}: too many attempts{}", Wait(.retry_after))]
    RateLimited {
        /// The call.
        call: String,
        /// How long to wait.
        retry_after: Option<Duration>,
    },
    /// The API, or a load balancer in front of it, failed. A 500 may be permanent.
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
    /// The answer does not have the service's form: something in between has answered, such as a proxy, a login portal or
    /// a maintenance page. It does not say whether the call succeeded.
    #[error("{call}: {status} with {what}; that is not the API's own answer")]
    Foreign {
        /// The call.
        call: String,
        /// The answer's status.
        status: u16,
        /// What it contained, shortened.
        what: String,
        /// How long to wait.
        retry_after: Option<Duration>,
        /// Where the JSON differs from the expected form.
        source: Option<serde_json::Error>,
    },
    /// The answer is a redirect. Redirects are never followed, because the account and the token are for the API only.
    #[error("{call}: {}", Redirect(.endpoint.as_deref(), .to))]
    Redirected {
        /// The call.
        call: String,
        /// The answer's status.
        status: u16,
        /// The endpoint to use instead, if the redirect leads to the same route elsewhere.
        endpoint: Option<String>,
        /// Where it leads to, without a query.
        to: String,
        /// How long to wait.
        retry_after: Option<Duration>,
    },
    /// The API would not validate this result, so it was not sent.
    #[error("the API does not check `{value}`: return an object")]
    Unchecked {
        /// The result.
        value: String,
    },
    /// The result is nested too deeply for its readers, so it was not sent.
    #[error(
        "the result is nested deeper than {DEPTH_LIMIT} levels; write it to an output file and return its path"
    )]
    TooDeep,
    /// The request is larger than the API accepts, so it was not sent.
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
    /// The request has a NUL character, which the API's database cannot store, so it was not sent.
    #[error("{call}: the payload has a NUL character at `{path}`, which the API cannot store")]
    Nul {
        /// The call.
        call: String,
        /// Where in the payload.
        path: String,
    },
    /// The id does not have the form of a ReefGuide id.
    #[error("`{id}` is not a ReefGuide id: those are positive whole numbers")]
    ForeignId {
        /// The id.
        id: String,
    },
    /// Another task was getting a token at the same time, and failed.
    #[error(transparent)]
    Login(Arc<ApiError>),
}

/// One way in which a request does not match its schema.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Issue {
    /// What is wrong.
    pub message: String,
    /// Where: field names and indices.
    #[serde(default)]
    path: Vec<serde_json::Value>,
}

impl Issue {
    pub(super) fn at(field: &str, message: &str) -> Self {
        Self {
            message: message.to_owned(),
            path: vec![field.into()],
        }
    }
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

/// What a redirect means, and what to do.
struct Redirect<'a>(Option<&'a str>, &'a str);

impl fmt::Display for Redirect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(Some(endpoint), _) => write!(f, "the API redirects to {endpoint}: write that"),
            Self(None, to) => write!(
                f,
                "redirected to {to}, perhaps a login portal or a maintenance page; redirects are not followed"
            ),
        }
    }
}

impl ApiError {
    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Transport { .. }
            | Self::Proxy { .. }
            | Self::RateLimited { .. }
            | Self::Server { .. }
            | Self::Foreign { .. }
            | Self::Redirected { .. } => true,
            Self::Login(error) => error.is_retryable(),
            _ => false,
        }
    }

    /// How long the API asked to be left alone, limited to an hour.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. }
            | Self::Server { retry_after, .. }
            | Self::Foreign { retry_after, .. }
            | Self::Redirected { retry_after, .. } => *retry_after,
            Self::Login(error) => error.retry_after(),
            _ => None,
        }
    }

    /// Whether the API is available but limits logins.
    pub fn is_rate_limited(&self) -> bool {
        match self {
            Self::RateLimited { .. } => true,
            Self::Login(error) => error.is_rate_limited(),
            _ => false,
        }
    }

    /// Whether the account was refused: its credentials are wrong, or it lacks a role.
    pub fn is_denied(&self) -> bool {
        match self {
            Self::Denied { .. } | Self::TokenRejected { .. } => true,
            Self::Login(error) => error.is_denied(),
            _ => false,
        }
    }

    /// Whether the service itself says that there is no such job or assignment. Any other 404 may come from a proxy.
    pub fn is_gone(&self) -> bool {
        let gone = ["Job not found", "Assignment not found"];
        matches!(self, Self::NotFound { message, .. } if gone.contains(&message.as_str()))
    }

    /// Whether something between this machine and the API answered.
    pub fn is_foreign(&self) -> bool {
        match self {
            Self::Foreign { .. } | Self::Redirected { .. } => true,
            Self::Login(error) => error.is_foreign(),
            _ => false,
        }
    }

    /// Whether the API may have done what it was asked to do, although it did not confirm it.
    pub fn may_have_acted(&self) -> bool {
        match self {
            Self::Transport { source, .. } => !source.is_connect() && !source.is_builder(),
            Self::Server { .. } | Self::Foreign { .. } | Self::Redirected { .. } => true,
            _ => false,
        }
    }
}
