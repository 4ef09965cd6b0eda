//! The headers and errors of an S3 server's answer.

use std::time::Duration;

use reefguide_transport::checksum::ContentHeaders;
use reefguide_transport::s3_answer::Head;
use reqwest::Response;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, RETRY_AFTER};

/// How many bytes of an error's body are read.
const EXPLANATION: usize = 4 << 10;

/// The beginning of an answer's body.
pub(super) async fn body_start(response: &mut Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        body.extend_from_slice(&piece);
        if body.len() > EXPLANATION {
            break;
        }
    }
    body
}

/// The parts of an answer by which it is known whether an S3 server sent it.
pub(super) fn head(response: &Response) -> Head {
    let headers = response.headers().iter();
    let headers = headers.map(|(name, value)| (name.as_str(), value.as_bytes()));
    Head::of(response.status().as_u16(), headers)
}

/// The length of the content, if the server says it.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    text(headers, CONTENT_LENGTH.as_str())?.parse().ok()
}

/// Whether a partial content begins at this offset.
pub(super) fn begins_at(headers: &HeaderMap, at: u64) -> bool {
    let range = text(headers, CONTENT_RANGE.as_str());
    range.is_some_and(|range| range.starts_with(&format!("bytes {at}-")))
}

/// How long the server asks to be left alone, in seconds.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = text(headers, RETRY_AFTER.as_str())?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The headers that describe the content.
pub(super) fn content_headers(headers: &HeaderMap) -> ContentHeaders<'_> {
    let text = |name| text(headers, name);
    ContentHeaders {
        etag: text(ETAG.as_str()),
        crc64_nvme: text("x-amz-checksum-crc64nvme"),
        crc32: text("x-amz-checksum-crc32"),
        crc32_c: text("x-amz-checksum-crc32c"),
        checksum_type: text("x-amz-checksum-type"),
        encryption: text("x-amz-server-side-encryption"),
        customer_algorithm: text("x-amz-server-side-encryption-customer-algorithm"),
    }
}

/// The message of an S3 server's error, such as ` (AccessDenied: Request has expired)`.
pub(super) fn explanation(body: &str) -> String {
    let element = |name: &str| {
        let (_, rest) = body.split_once(&format!("<{name}>"))?;
        Some(rest.split_once('<')?.0)
    };
    match (element("Code"), element("Message")) {
        (Some(code), Some(message)) => format!(" ({code}: {message})"),
        (Some(code), None) => format!(" ({code})"),
        (None, _) => String::new(),
    }
}
