//! Answers, and whether they come from the API.
//!
//! A proxy, a load balancer, a login portal or a maintenance page may answer in the API's place. So an answer counts
//! only if it has the form that the service gives it (API contract, "Errors come in five shapes"). Any other answer
//! becomes [`ApiError::Foreign`] or [`ApiError::Redirected`]: a transport problem, which says nothing about a job, a
//! token or a result.

mod failure;
#[cfg(test)]
mod tests;

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{StatusCode, Url};
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// The longest wait that is accepted from a `Retry-After`: four times the longest that the login limit asks for. After
/// this time the server is asked again, however long it wanted to be left alone.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// An answer, from the API or from something in between.
pub(super) struct Answer {
    pub(super) call: String,
    /// The account that made the call.
    pub(super) email: String,
    /// The API's endpoint, without `/api`.
    pub(super) endpoint: String,
    /// The address that was called.
    pub(super) url: Url,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The answer, unless it is an error. The service answers every success with status 200.
    pub(super) fn success(self) -> Result<Self, ApiError> {
        match self.status {
            StatusCode::OK => Ok(self),
            _ => Err(self.error()),
        }
    }

    /// The JSON of a success, which is always an object.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        // serde would read an array as an object with the same number of fields.
        if !self.is_json() || !self.body.trim_ascii_start().starts_with(b"{") {
            return Err(self.foreign(self.describe()));
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            let what = match error.is_data() {
                true => "JSON of another form",
                false => "broken JSON",
            };
            let mut foreign = self.foreign(what);
            if let ApiError::Foreign { source, .. } = &mut foreign {
                // The error quotes what it found.
                *source = Some(error).filter(|_| !self.holds_secrets());
            }
            foreign
        })
    }

    /// Makes sure that the answer is a success without content.
    pub(super) fn empty(&self) -> Result<(), ApiError> {
        if self.body.is_empty() && !self.is("text/html") {
            return Ok(());
        }
        Err(self.foreign(self.describe()))
    }

    /// The error for an answer that does not have the service's form, but contains `what`.
    pub(super) fn foreign(&self, what: impl Into<String>) -> ApiError {
        ApiError::Foreign {
            call: self.call.clone(),
            status: self.status.as_u16(),
            what: what.into(),
            retry_after: self.retry_after(),
            source: None,
        }
    }

    /// The wait that a `Retry-After` header asks for, in seconds or as a date; at most [`LONGEST_WAIT`].
    fn retry_after(&self) -> Option<Duration> {
        let value = self.headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
        let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
            // A number that does not fit is longer than the limit, too.
            value.parse().map_or(Duration::MAX, Duration::from_secs)
        } else {
            let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
            let wait = date.duration_since(jiff::Timestamp::now());
            wait.try_into().unwrap_or(Duration::ZERO)
        };
        Some(wait.min(LONGEST_WAIT))
    }

    /// Whether the content may be JSON: the headers do not name another type.
    fn is_json(&self) -> bool {
        self.is("application/json") || !self.headers.contains_key(CONTENT_TYPE)
    }

    /// Whether the headers name this media type.
    fn is(&self, media_type: &str) -> bool {
        let named = self.headers.get(CONTENT_TYPE);
        let named = named.and_then(|named| named.to_str().ok());
        let named = named.and_then(|named| named.split(';').next());
        named.is_some_and(|named| named.trim().eq_ignore_ascii_case(media_type))
    }

    /// Whether no part of the answer may be shown: it may contain tokens or presigned URLs.
    fn holds_secrets(&self) -> bool {
        self.status.is_success()
            && (self.call.starts_with("POST /auth/") || self.call.ends_with("/download"))
    }

    /// What the answer contains instead of the expected content.
    fn describe(&self) -> String {
        let is_page = self.is("text/html") || self.body.trim_ascii_start().starts_with(b"<");
        match (self.body.is_empty(), is_page) {
            (true, _) => "an empty body".to_owned(),
            (_, true) => format!("a web page: `{}`", excerpt(&self.body)),
            _ if self.status.is_success() => match self.is_json() {
                true => "JSON that it does not answer with".to_owned(),
                false => "something other than JSON".to_owned(),
            },
            _ => format!("`{}`", excerpt(&self.body)),
        }
    }
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
