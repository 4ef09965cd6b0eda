//! The part of S3 that transfers need. It stores only names and sizes, and does not check signatures.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG as ETAG_HEADER, HeaderMap, HeaderValue,
    LAST_MODIFIED, RANGE,
};
use hyper::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;

use crate::answer::{Answer, xml};
use crate::listing;

/// The ETag of every object and part. Its suffix says that it is not an MD5, so that no client compares it with one.
pub(crate) const ETAG: &str = "00000000000000000000000000000000-1";

/// The server.
#[derive(Clone)]
pub(crate) struct Sink {
    delay: Duration,
    stored: Arc<Mutex<Stored>>,
}

/// The names and sizes of what was stored, in any bucket.
#[derive(Default)]
struct Stored {
    /// Sizes by key.
    objects: BTreeMap<String, u64>,
    /// Sizes of parts by upload and number.
    uploads: HashMap<String, HashMap<String, u64>>,
    begun: u64,
}

impl Sink {
    /// Waits for `delay` before each answer.
    pub(crate) fn new(delay: Duration) -> Self {
        let stored = Arc::default();
        Self { delay, stored }
    }

    /// Answers one request. Unexpected requests get 501, so that they are noticed.
    pub(crate) async fn answer(
        &self,
        request: Request<Incoming>,
    ) -> Result<Response<Answer>, Infallible> {
        let (head, body) = request.into_parts();
        let Ok(size) = swallow(&head.headers, body).await else {
            // The connection broke, so the answer is never read.
            return Ok(status(StatusCode::BAD_REQUEST));
        };
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        let path = head.uri.path().trim_start_matches('/');
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let key = decoded(key);
        let query = query(head.uri.query().unwrap_or_default());
        let answer = if key.is_empty() {
            self.bucket(&head.method, &query)
        } else {
            self.object(
                &head.method,
                bucket,
                key,
                &query,
                size,
                head.headers.get(RANGE),
            )
        };
        if answer.status() == StatusCode::NOT_IMPLEMENTED {
            eprintln!("unknown to the sink: {} {}", head.method, head.uri);
        }
        Ok(answer)
    }

    fn bucket(&self, method: &Method, query: &HashMap<String, String>) -> Response<Answer> {
        match *method {
            Method::HEAD | Method::PUT => status(StatusCode::OK),
            Method::GET => xml(listing::page(&self.stored().objects, query)),
            _ => status(StatusCode::NOT_IMPLEMENTED),
        }
    }

    fn object(
        &self,
        method: &Method,
        bucket: &str,
        key: String,
        query: &HashMap<String, String>,
        size: u64,
        range: Option<&HeaderValue>,
    ) -> Response<Answer> {
        let mut stored = self.stored();
        match (method, query.get("uploadId")) {
            (&Method::PUT, Some(upload)) => {
                let part = query.get("partNumber").cloned().unwrap_or_default();
                let parts = stored.uploads.entry(upload.clone()).or_default();
                parts.insert(part, size);
                tagged(status(StatusCode::OK))
            }
            (&Method::PUT, None) => {
                stored.objects.insert(key, size);
                tagged(status(StatusCode::OK))
            }
            (&Method::POST, Some(upload)) => {
                let parts = stored.uploads.remove(upload).unwrap_or_default();
                let answer = xml(format!(
                    "<CompleteMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{key}</Key>\
                     <ETag>&quot;{ETAG}&quot;</ETag></CompleteMultipartUploadResult>"
                ));
                stored.objects.insert(key, parts.values().sum());
                answer
            }
            (&Method::POST, None) if query.contains_key("uploads") => {
                stored.begun += 1;
                xml(format!(
                    "<InitiateMultipartUploadResult><Bucket>{bucket}</Bucket><Key>{key}</Key>\
                     <UploadId>{}</UploadId></InitiateMultipartUploadResult>",
                    stored.begun
                ))
            }
            (&Method::DELETE, Some(upload)) => {
                stored.uploads.remove(upload);
                status(StatusCode::NO_CONTENT)
            }
            (&Method::DELETE, None) => {
                stored.objects.remove(&key);
                status(StatusCode::NO_CONTENT)
            }
            (&Method::HEAD | &Method::GET, None) => match stored.objects.get(&key) {
                Some(&size) => read(method, size, range),
                None => status(StatusCode::NOT_FOUND),
            },
            _ => status(StatusCode::NOT_IMPLEMENTED),
        }
    }

    fn stored(&self) -> MutexGuard<'_, Stored> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a body to its end and returns the size of its content. A body that is signed in chunks is longer than that.
async fn swallow(headers: &HeaderMap, mut body: Incoming) -> Result<u64, hyper::Error> {
    let mut read = 0;
    while let Some(frame) = body.frame().await {
        read += frame?.data_ref().map_or(0, |data| data.len() as u64);
    }
    let decoded = headers.get("x-amz-decoded-content-length");
    let decoded = decoded.and_then(|length| length.to_str().ok()?.parse().ok());
    Ok(decoded.unwrap_or(read))
}

fn read(method: &Method, size: u64, range: Option<&HeaderValue>) -> Response<Answer> {
    let range = range.and_then(|range| parse_range(range.to_str().ok()?, size));
    let (first, end) = range.unwrap_or((0, size));
    let mut answer = Response::new(if method == Method::HEAD {
        Answer::empty()
    } else {
        Answer::bytes(end - first)
    });
    let headers = answer.headers_mut();
    headers.insert(CONTENT_LENGTH, (end - first).into());
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let date = HeaderValue::from_static("Thu, 01 Jan 2026 00:00:00 GMT");
    headers.insert(LAST_MODIFIED, date);
    if range.is_some() {
        let place = format!("bytes {first}-{}/{size}", end - 1);
        // Always a valid value: it has only digits and signs.
        headers.extend(
            HeaderValue::from_str(&place)
                .ok()
                .map(|place| (CONTENT_RANGE, place)),
        );
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    tagged(answer)
}

/// The first byte of `range` and the one after its last; `None` if the object has none of its bytes.
fn parse_range(range: &str, size: u64) -> Option<(u64, u64)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let first = first.parse().ok()?;
    let end = match last {
        "" => size,
        last => size.min(last.parse::<u64>().ok()?.checked_add(1)?),
    };
    (first < end).then_some((first, end))
}

fn query(query: &str) -> HashMap<String, String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect()
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn status(status: StatusCode) -> Response<Answer> {
    let mut answer = Response::new(Answer::empty());
    *answer.status_mut() = status;
    answer
}

fn tagged(mut answer: Response<Answer>) -> Response<Answer> {
    let tag = HeaderValue::from_static("\"00000000000000000000000000000000-1\"");
    answer.headers_mut().insert(ETAG_HEADER, tag);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_ends_with_the_object() {
        assert_eq!(parse_range("bytes=2-3", 10), Some((2, 4)));
        assert_eq!(parse_range("bytes=8-20", 10), Some((8, 10)));
        assert_eq!(parse_range("bytes=8-", 10), Some((8, 10)));
        assert_eq!(parse_range("bytes=10-", 10), None);
    }

    #[test]
    fn a_query_is_decoded() {
        let query = query("uploads&prefix=a%2Fb&x=");
        assert_eq!(query["prefix"], "a/b");
        assert_eq!(query["uploads"], "");
    }
}
