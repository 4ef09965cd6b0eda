//! Answers, and whether they are the API's own.
//!
//! A proxy, a load balancer, a login portal or a maintenance page may answer in the API's place. So an answer counts
//! only if it has the form that the service gives it (contract, sections 1 to 3). Any other is
//! [`ApiError::Foreign`] or [`ApiError::Redirected`]: trouble on the way, which says nothing about a job, a token or
//! a result.

use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::{ApiError, Issue};

/// The longest wait that a `Retry-After` is obeyed for: four times what the login limit asks for at most. Whoever asks
/// for more is asked again after this time.
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// An answer, from the API or from something in between.
pub(super) struct Answer {
    pub(super) call: String,
    /// The account that the call was made for.
    pub(super) email: String,
    /// The API's endpoint, without `/api`.
    pub(super) endpoint: String,
    /// The address that was called.
    pub(super) url: Url,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// An error of the service (contract, section 1).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refusal {
    status: u16,
    message: String,
}

/// The login limit's error.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Limited {
    #[serde(rename = "error")]
    _error: String,
}

/// What is wrong with one part of a request.
#[derive(Deserialize)]
struct Schema {
    errors: SchemaErrors,
}

#[derive(Deserialize)]
struct SchemaErrors {
    issues: Vec<Issue>,
}

impl Answer {
    /// The answer, unless it is an error. The service answers whatever it does with a plain 200.
    pub(super) fn success(self) -> Result<Self, ApiError> {
        match self.status {
            StatusCode::OK => Ok(self),
            _ => Err(self.error()),
        }
    }

    /// The JSON of a success, which is an object.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        // serde would take an array for an object with the same number of fields.
        if !self.is_json() || !self.body.trim_ascii_start().starts_with(b"{") {
            return Err(self.foreign(self.described()));
        }
        serde_json::from_slice(&self.body).map_err(|error| {
            let what = match error.is_data() {
                true => "JSON of another form",
                false => "broken JSON",
            };
            let mut foreign = self.foreign(what);
            if let ApiError::Foreign { source, .. } = &mut foreign {
                // It quotes what it found.
                *source = Some(error).filter(|_| !self.holds_secrets());
            }
            foreign
        })
    }

    /// Makes sure that the answer is the success that says nothing.
    pub(super) fn empty(&self) -> Result<(), ApiError> {
        if self.body.is_empty() && !self.is("text/html") {
            return Ok(());
        }
        Err(self.foreign(self.described()))
    }

    /// The error for an answer that has not the service's form, and has `what` instead.
    pub(super) fn foreign(&self, what: impl Into<String>) -> ApiError {
        ApiError::Foreign {
            call: self.call.clone(),
            status: self.status.as_u16(),
            what: what.into(),
            retry_after: retry_after(&self.headers),
            source: None,
        }
    }

    /// What an answer that is no success says.
    fn error(&self) -> ApiError {
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
        let said = refusal.map(|refusal| refusal.message);
        match (self.status, said) {
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
                None => self.foreign(self.described()),
            },
            (StatusCode::UNAUTHORIZED, None)
                if self.body == b"Unauthorized" && !self.headers.contains_key(CONTENT_TYPE) =>
            {
                ApiError::TokenRejected { call }
            }
            (StatusCode::TOO_MANY_REQUESTS, _) if self.error_json::<Limited>(b"{").is_some() => {
                let retry_after = retry_after(&self.headers);
                ApiError::RateLimited { call, retry_after }
            }
            // The service's own or a load balancer's: it means the same.
            (status, said) if status.is_server_error() => ApiError::Server {
                call,
                status: status.as_u16(),
                message: said.unwrap_or_else(|| excerpt(&self.body)),
                retry_after: retry_after(&self.headers),
            },
            _ => self.foreign(self.described()),
        }
    }

    /// Where the request fails its schema, if that is what the answer says.
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
        // What a proxy puts there may be a secret.
        target.set_query(None);
        target.set_fragment(None);
        let _ = target.set_username("");
        let _ = target.set_password(None);
        let to = target.as_str().trim_end_matches('/');
        let called = self.url.path().trim_end_matches('/').to_ascii_lowercase();
        // What was called below the endpoint, such as `/api/jobs/7`.
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
            retry_after: retry_after(&self.headers),
        }
    }

    /// Whether the content may be JSON: it is not said to be something else.
    fn is_json(&self) -> bool {
        self.is("application/json") || !self.headers.contains_key(CONTENT_TYPE)
    }

    /// Whether the content is of a media type.
    fn is(&self, media_type: &str) -> bool {
        let named = self.headers.get(CONTENT_TYPE);
        let named = named.and_then(|named| named.to_str().ok());
        let named = named.and_then(|named| named.split(';').next());
        named.is_some_and(|named| named.trim().eq_ignore_ascii_case(media_type))
    }

    /// The JSON of an error, if it begins so and has the form of one.
    fn error_json<T: DeserializeOwned>(&self, begins: &[u8]) -> Option<T> {
        let begins = self.body.trim_ascii_start().starts_with(begins);
        let json = Some(&self.body).filter(|_| begins && self.is_json())?;
        serde_json::from_slice(json).ok()
    }

    /// Whether no part of the answer may be shown: it may hold tokens or presigned URLs.
    fn holds_secrets(&self) -> bool {
        self.status.is_success()
            && (self.call.starts_with("POST /auth/") || self.call.ends_with("/download"))
    }

    /// What the answer holds instead of what it should.
    fn described(&self) -> String {
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

/// The wait a `Retry-After` header asks for, as seconds or as a date: an hour at most.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More than fits is more than is obeyed.
        value.parse().map_or(Duration::MAX, Duration::from_secs)
    } else {
        let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
        let wait = date.duration_since(jiff::Timestamp::now());
        wait.try_into().unwrap_or(Duration::ZERO)
    };
    Some(wait.min(LONGEST_WAIT))
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
    use std::sync::Arc;

    const JSON: &str = "application/json; charset=utf-8";
    const HTML: &str = "text/html";
    const PAGE: &str = "<!DOCTYPE html>\n<html><pre>Cannot GET /api/health</pre></html>";

    fn answer(status: u16, content_type: &str, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        if !content_type.is_empty() {
            headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        }
        Answer {
            call: "POST /x".into(),
            email: "w@x".into(),
            endpoint: "http://api.example/base".into(),
            url: "http://api.example/base/api/x?q=1".parse().unwrap(),
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: body.to_owned().into(),
        }
    }

    fn read(status: u16, content_type: &str, body: &str) -> ApiError {
        answer(status, content_type, body).success().err().unwrap()
    }

    fn shown(answers: &[(u16, &str, &str)]) -> String {
        let lines = answers.iter().map(|(status, content_type, body)| {
            let error = read(*status, content_type, body);
            format!("{status} retryable={:<5} {error}", error.is_retryable())
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn each_shape_of_error_is_told_apart() {
        let read = shown(&[
            (
                400,
                JSON,
                r#"{"status":400,"message":"Job is not available for assignment"}"#,
            ),
            (
                400,
                JSON,
                r#"[{"type":"Body","errors":{"issues":[{"code":"invalid_type","path":["jobId"],"message":"Required"},{"code":"x","path":["regions",0,"description"],"message":"Expected string, received null"}],"name":"ZodError"}}]"#,
            ),
            (401, "", "Unauthorized"),
            (
                401,
                JSON,
                r#"{"status":401,"message":"You are not authorised to access this service."}"#,
            ),
            (404, JSON, r#"{"status":404,"message":"Job not found"}"#),
            (429, JSON, r#"{"error":"Too many attempts."}"#),
            (
                500,
                JSON,
                r#"{"status":500,"message":"An unexpected error occurred"}"#,
            ),
            (
                502,
                HTML,
                "<html>\n<head><title>502 Bad Gateway</title></head>",
            ),
            (503, "", ""),
        ]);
        insta::assert_snapshot!(read);
    }

    #[test]
    fn an_error_of_any_other_form_is_trouble_on_the_way() {
        let foreign = [
            (400, HTML, PAGE),
            (400, JSON, "{}"),
            (400, JSON, "[]"),
            (400, JSON, r#"[400,"an array"]"#),
            (400, JSON, r#"{"message":"no status"}"#),
            (400, JSON, r#"{"status":404,"message":"another status"}"#),
            (400, HTML, r#"{"status":400,"message":"not as JSON"}"#),
            (401, HTML, "<html>Sign in</html>"),
            (401, "text/plain", "Unauthorized"),
            (401, "", "Unauthorized by the gateway"),
            (401, "", ""),
            (403, HTML, "<html>Blocked by the firewall</html>"),
            (403, JSON, r#"{"message":"Forbidden"}"#),
            (404, HTML, PAGE),
            (404, "text/plain", "404 page not found"),
            (
                404,
                JSON,
                r#"{"timestamp":1,"status":404,"error":"Not Found","message":"none","path":"/api/x"}"#,
            ),
            (405, HTML, PAGE),
            (408, "", ""),
            (413, HTML, PAGE),
            (429, HTML, PAGE),
            (429, JSON, r#"{"message":"Too many requests"}"#),
            (100, "", ""),
            (201, JSON, "{}"),
            (204, "", ""),
            (206, JSON, "{}"),
            (300, HTML, PAGE),
            (304, "", ""),
            (600, "", ""),
        ];
        for (status, content_type, body) in foreign {
            let error = read(status, content_type, body);
            assert!(
                matches!(error, ApiError::Foreign { .. }),
                "{status} {content_type} {body}: {error:?}"
            );
            assert!(error.is_retryable() && error.may_have_acted() && !error.is_denied());
            assert!(!error.is_rate_limited() && !error.is_gone(), "{error}");
        }
        insta::assert_snapshot!(shown(&foreign));
    }

    #[test]
    fn a_success_counts_only_as_json_of_its_form() {
        #[derive(Debug, Deserialize)]
        struct Jobs {
            #[serde(rename = "jobs")]
            _jobs: Vec<u8>,
        }
        let read = |content_type, body| answer(200, content_type, body).json::<Jobs>();
        assert!(read(JSON, r#"{"jobs":[]}"#).is_ok());
        assert!(read("Application/JSON", r#"{"jobs":[]}"#).is_ok());
        let mut shown = String::new();
        for (content_type, body) in [
            (HTML, PAGE),
            (JSON, PAGE),
            ("", PAGE),
            ("text/plain", r#"{"jobs":[]}"#),
            (HTML, r#"{"jobs":[]}"#),
            (JSON, r#"{"jobs":["#),
            (JSON, "{}"),
            (JSON, "[]"),
            (JSON, "[[]]"),
            (JSON, "null"),
            (JSON, r#"{"jobs":{}}"#),
            (JSON, ""),
            ("", ""),
        ] {
            let error = read(content_type, body).unwrap_err();
            assert!(error.is_retryable() && error.may_have_acted(), "{error:?}");
            shown += &format!("{}\n", reefguide_transport::Chain(&error));
        }
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn the_success_that_says_nothing_has_no_body() {
        assert!(answer(200, "", "").empty().is_ok());
        for (content_type, body) in [(HTML, PAGE), (HTML, ""), (JSON, "{}"), ("", " ")] {
            let error = answer(200, content_type, body).empty().unwrap_err();
            assert!(error.is_retryable(), "{content_type} {body}: {error}");
        }
    }

    #[test]
    fn what_may_hold_a_secret_is_not_shown() {
        for call in ["POST /auth/login", "GET /jobs/7/download"] {
            for body in [
                r#""hunter2""#,
                r#"{"token": hunter2"#,
                r#"{"files":"hunter2"}"#,
            ] {
                for content_type in [JSON, "text/plain"] {
                    let mut answer = answer(200, content_type, body);
                    answer.call = call.into();
                    let error = answer.json::<Vec<String>>().unwrap_err();
                    let said = format!("{} {error:?}", reefguide_transport::Chain(&error));
                    assert!(!said.contains("hunter2"), "{said}");
                }
            }
        }
    }

    #[test]
    fn a_redirect_names_the_endpoint_to_write_or_the_place_it_leads_to() {
        let mut shown = String::new();
        for location in [
            "https://api.example/base/api/x",
            "https://api.example/base/API/x/?q=1#here",
            "https://other.example:8443/v2/api/x?token=secret",
            "https://user:secret@other.example/api/x",
            "//other.example/api/x",
            "/elsewhere/api/x",
            "https://login.example/sign-in?next=secret",
            "/maintenance.html",
            "/base/api/x/",
            "https://other.example",
            "ftp://other.example/api/x",
            "https://[",
        ] {
            let mut answer = answer(308, "", "");
            answer.headers.insert(LOCATION, location.parse().unwrap());
            let error = answer.success().err().unwrap();
            assert!(error.is_retryable() && error.may_have_acted(), "{error:?}");
            shown += &format!("{location}\n  {error}\n");
            assert!(
                !format!("{error} {error:?}").contains("secret"),
                "{error:?}"
            );
        }
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date_and_obeyed_for_an_hour_at_most() {
        let with = |value: &str| {
            let mut answer = answer(503, "", "");
            answer.headers.insert(RETRY_AFTER, value.parse().unwrap());
            answer.success().err().unwrap().retry_after()
        };
        let hour = Some(Duration::from_secs(3600));
        assert_eq!(with("900"), Some(Duration::from_secs(900)));
        assert_eq!(with("0"), Some(Duration::ZERO));
        assert_eq!(with("Sun, 22 Nov 2020 21:22:43 GMT"), Some(Duration::ZERO));
        for long in [
            "3601",
            "2300000000",
            "18446744073709551615",
            "99999999999999999999",
            "Sun, 22 Nov 2099 21:22:43 GMT",
        ] {
            assert_eq!(with(long), hour, "{long}");
        }
        for nothing in ["soon", "", "-1", "+1", "1.5", "1e3", "0x10"] {
            assert_eq!(with(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn too_many_attempts_are_told_from_other_trouble_whoever_logged_in() {
        let limited = || read(429, JSON, r#"{"error":"Too many attempts."}"#);
        let others = |error| ApiError::Login(Arc::new(error));
        assert!(limited().is_rate_limited());
        assert!(others(limited()).is_rate_limited());
        assert!(!read(503, "", "").is_rate_limited());
        assert!(!others(read(503, "", "")).is_rate_limited());
    }

    #[test]
    fn only_a_request_that_was_sent_and_not_refused_may_have_acted() {
        let never_sent = ApiError::Transport {
            call: "POST /x".into(),
            endpoint: "http://api".into(),
            source: reqwest::Client::new().get("no URL").build().unwrap_err(),
        };
        assert!(!never_sent.may_have_acted());
        assert!(!read(400, JSON, r#"{"status":400,"message":"taken"}"#).may_have_acted());
        assert!(!read(429, JSON, r#"{"error":"Too many attempts."}"#).may_have_acted());
        assert!(read(500, "", "").may_have_acted());
    }

    #[test]
    fn gone_is_the_services_own_word_only() {
        for (message, gone) in [
            ("Job not found", true),
            ("Assignment not found", true),
            ("Not Found", false),
            ("User not found", false),
        ] {
            let body = format!(r#"{{"status":404,"message":"{message}"}}"#);
            assert_eq!(read(404, JSON, &body).is_gone(), gone, "{message}");
        }
        assert!(!read(404, HTML, PAGE).is_gone());
    }
}
