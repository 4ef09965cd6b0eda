//! Requests and answers as bytes, without tokens or types.

use reqwest::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;
use tracing::{Instrument, field};

use crate::answer::Answer;
use crate::clock::Clock;
use crate::error::{ApiError, BODY_LIMIT};
use reefguide_transport::http_client::Proxy;
use reefguide_transport::{Chain, trace};

/// The largest answer that is read, in bytes: several times the size of 50 jobs with their payloads and results.
const ANSWER_LIMIT: usize = 64 << 20;

/// The connection to the API.
#[derive(Debug)]
pub(super) struct Http {
    pub(super) client: reqwest::Client,
    pub(super) endpoint: String,
    pub(super) clock: Clock,
}

impl Http {
    pub(super) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client
            .request(method, format!("{}/api{path}", self.endpoint))
    }

    pub(super) async fn post_for_token<T: DeserializeOwned>(
        &self,
        path: &str,
        email: &str,
        body: &Value,
    ) -> Result<T, ApiError> {
        let call = format!("POST {path}");
        let body = encode(&call, body)?;
        let request = with_json(self.request(Method::POST, path), body);
        self.send(request, &call, email).await?.success()?.json()
    }

    pub(super) async fn send(
        &self,
        request: reqwest::RequestBuilder,
        call: &str,
        email: &str,
    ) -> Result<Answer, ApiError> {
        let span = tracing::debug_span!(
            "http",
            otel.name = template(call),
            otel.kind = "client",
            http.request.method = call.split(' ').next(),
            http.response.status_code = field::Empty,
            server.address = self.endpoint,
        );
        let answered = self.exchange(request, call, email);
        let answered = answered.instrument(span.clone()).await;
        match &answered {
            Ok(Answer { status, .. }) => {
                span.record("http.response.status_code", i64::from(status.as_u16()));
                if !status.is_success() {
                    trace::failed(&span, status);
                }
            }
            Err(error) => trace::failed(&span, Chain(error)),
        }
        answered
    }

    async fn exchange(
        &self,
        request: reqwest::RequestBuilder,
        call: &str,
        email: &str,
    ) -> Result<Answer, ApiError> {
        let no_answer = |source: reqwest::Error| {
            let (call, endpoint) = (call.to_owned(), self.endpoint.clone());
            let source = source.without_url();
            match Proxy::failed(&endpoint, &source) {
                Some(proxy) => ApiError::Proxy {
                    call,
                    endpoint,
                    proxy: proxy.to_string(),
                    source,
                },
                None => ApiError::Transport {
                    call,
                    endpoint,
                    source,
                },
            }
        };
        let mut request = request;
        for (name, value) in trace::headers() {
            request = request.header(name, value);
        }
        let sent = Instant::now();
        let mut response = request.send().await.map_err(no_answer)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let url = response.url().clone();
        self.clock.compare(&headers, sent.elapsed());
        let mut answer = Answer {
            call: call.to_owned(),
            email: email.to_owned(),
            endpoint: self.endpoint.clone(),
            url,
            status,
            headers,
            body: Vec::new(),
        };
        while let Some(piece) = response.chunk().await.map_err(no_answer)? {
            if answer.body.len() + piece.len() > ANSWER_LIMIT {
                return Err(answer.foreign(format!("more than {ANSWER_LIMIT} bytes")));
            }
            answer.body.extend_from_slice(&piece);
        }
        Ok(answer)
    }
}

/// A call with placeholders for ids: `GET /jobs/{id}` for `GET /jobs/7`.
fn template(call: &str) -> String {
    let is_id = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = call.split('/');
    let parts = parts.map(|part| if is_id(part) { "{id}" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

pub(super) fn with_json(
    request: reqwest::RequestBuilder,
    body: Vec<u8>,
) -> reqwest::RequestBuilder {
    request
        .header(reqwest::header::CONTENT_TYPE, "application/json")
        .body(body)
}

/// A request body, unless the API would answer it with a 500 (API contract, "Errors come in five shapes").
pub(super) fn encode(call: &str, body: &Value) -> Result<Vec<u8>, ApiError> {
    if let Some(path) = nul(body, "") {
        return Err(ApiError::Nul {
            call: call.to_owned(),
            path,
        });
    }
    let bytes = body.to_string().into_bytes();
    if bytes.len() > BODY_LIMIT {
        return Err(ApiError::TooLarge {
            call: call.to_owned(),
            size: bytes.len(),
        });
    }
    Ok(bytes)
}

/// The path of a value's first NUL character, if it has one.
fn nul(value: &Value, path: &str) -> Option<String> {
    match value {
        Value::String(text) => text.contains('\0').then(|| path.to_owned()),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(nth, item)| nul(item, &format!("{path}[{nth}]"))),
        Value::Object(fields) => fields.iter().find_map(|(name, field)| {
            let dot = if path.is_empty() { "" } else { "." };
            let path = format!("{path}{dot}{}", name.replace('\0', "\\0"));
            if name.contains('\0') {
                Some(path)
            } else {
                nul(field, &path)
            }
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_that_differ_only_in_ids_have_the_same_name() {
        for (call, name) in [
            ("GET /jobs/7", "GET /jobs/{id}"),
            (
                "POST /jobs/assignments/12/result",
                "POST /jobs/assignments/{id}/result",
            ),
            ("GET /jobs/poll", "GET /jobs/poll"),
        ] {
            assert_eq!(template(call), name);
        }
    }
}
