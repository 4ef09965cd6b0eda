//! Answers that report a failure: the API's five shapes of error, redirects, and everything else.

use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Answer, excerpt};
use crate::error::{ApiError, Issue};

/// An error of the service (API contract, "Errors come in five shapes").
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refusal {
    status: u16,
    message: String,
}

/// The error of the login limit.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limited {
    #[serde(rename = "error")]
    _error: String,
}

/// The schema errors of one part of a request.
#[derive(Deserialize)]
struct Schema {
    errors: SchemaErrors,
}

#[derive(Deserialize)]
struct SchemaErrors {
    issues: Vec<Issue>,
}

impl Answer {
    /// The error for an answer that is not a success.
    pub(super) fn error(&self) -> ApiError {
        if let Some(location) = self
            .headers
            .get(LOCATION)
            .filter(|_| self.status.is_redirection())
        {
            return self.redirected(&String::from_utf8_lossy(location.as_bytes()));
        }
        let call = self.call.clone();
        let refusal = self.error_json::<Refusal>(b"{");
        let refusal = refusal.filter(|refusal| refusal.status == self.status.as_u16());
        let message = refusal.map(|refusal| refusal.message);
        match (self.status, message) {
            (StatusCode::BAD_REQUEST, Some(message)) => ApiError::Refused {
                call,
                status: self.status.as_u16(),
                message,
            },
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, Some(message)) => ApiError::Denied {
                call,
                email: self.email.clone(),
                message,
            },
            (StatusCode::NOT_FOUND, Some(message)) => ApiError::NotFound { call, message },
            (StatusCode::BAD_REQUEST, None) => match self.issues() {
                Some(issues) => ApiError::Invalid { call, issues },
                None => self.foreign(self.describe()),
            },
            (StatusCode::UNAUTHORIZED, None)
                if self.body == b"Unauthorized" && !self.headers.contains_key(CONTENT_TYPE) =>
            {
                ApiError::TokenRejected { call }
            }
            (StatusCode::TOO_MANY_REQUESTS, _) if self.error_json::<Limited>(b"{").is_some() => {
                let retry_after = self.retry_after();
                ApiError::RateLimited { call, retry_after }
            }
            // From the service or from a load balancer: it means the same.
            (status, message) if status.is_server_error() => ApiError::Server {
                call,
                status: status.as_u16(),
                message: message.unwrap_or_else(|| excerpt(&self.body)),
                retry_after: self.retry_after(),
            },
            _ => self.foreign(self.describe()),
        }
    }

    /// Where the request does not match its schema, if the answer says that.
    fn issues(&self) -> Option<Vec<Issue>> {
        let schemas = self.error_json::<Vec<Schema>>(b"[")?;
        let issues: Vec<_> = schemas
            .into_iter()
            .flat_map(|schema| schema.errors.issues)
            .collect();
        (!issues.is_empty()).then_some(issues)
    }

    fn redirected(&self, location: &str) -> ApiError {
        let target = self.url.join(location).ok();
        let target = target.filter(|target| matches!(target.scheme(), "http" | "https"));
        let Some(mut target) = target else {
            return self.foreign("a redirect to an address that cannot be read");
        };
        // A proxy may put secrets there.
        target.set_query(None);
        target.set_fragment(None);
        let _ = target.set_username("");
        let _ = target.set_password(None);
        let to = target.as_str().trim_end_matches('/');
        let called = self.url.path().trim_end_matches('/').to_ascii_lowercase();
        // The part of the call's path below the endpoint, such as `/api/jobs/7`.
        let base = Url::parse(&self.endpoint)
            .map_or(0, |endpoint| endpoint.path().trim_end_matches('/').len());
        let moved = called.get(base..).and_then(|below| {
            let below = Some(below).filter(|below| below.starts_with("/api"))?;
            let kept = to.len().checked_sub(below.len())?;
            (to.get(kept..)?.to_ascii_lowercase() == below).then(|| to[..kept].to_owned())
        });
        ApiError::Redirected {
            call: self.call.clone(),
            status: self.status.as_u16(),
            endpoint: moved.filter(|endpoint| *endpoint != self.endpoint),
            to: to.to_owned(),
            retry_after: self.retry_after(),
        }
    }

    /// The JSON of an error, if it begins with `begins` and has the error's form.
    fn error_json<T: DeserializeOwned>(&self, begins: &[u8]) -> Option<T> {
        let begins = self.body.trim_ascii_start().starts_with(begins);
        let json = Some(&self.body).filter(|_| begins && self.is_json())?;
        serde_json::from_slice(json).ok()
    }
}
