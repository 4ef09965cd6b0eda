//! Conditional requests.

use http::HeaderMap;
use s3s::dto::{ETag, ETagCondition, Timestamp};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::error::ObjectStoreError;
use super::time::timestamp;

/// The conditions of a write or a deletion.
#[derive(Default)]
pub(super) struct WriteCondition {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
}

impl WriteCondition {
    pub(super) fn check(&self, key: &str, etag: Option<&str>) -> Result<(), ObjectStoreError> {
        if let Some(wanted) = &self.if_match {
            let etag = etag.ok_or_else(|| ObjectStoreError::NoSuchKey(key.to_owned()))?;
            if !matches(wanted, etag) {
                return Err(ObjectStoreError::PreconditionFailed("If-Match"));
            }
        }
        match (&self.if_none_match, etag) {
            (Some(unwanted), Some(etag)) if matches(unwanted, etag) => {
                Err(ObjectStoreError::PreconditionFailed("If-None-Match"))
            }
            _ => Ok(()),
        }
    }
}

/// Whether an entity tag matches a condition.
fn matches(condition: &ETagCondition, etag: &str) -> bool {
    condition
        .as_etag()
        .is_none_or(|wanted| wanted.value() == etag)
}

/// The conditions of a read.
pub(super) struct ReadCondition<'a> {
    pub(super) if_match: Option<&'a ETagCondition>,
    pub(super) if_none_match: Option<&'a ETagCondition>,
    pub(super) if_modified_since: Option<&'a Timestamp>,
    pub(super) if_unmodified_since: Option<&'a Timestamp>,
}

impl ReadCondition<'_> {
    /// Fails with `PreconditionFailed` or `NotModified`. Entity tags take precedence over times. `modified` is the
    /// object's time of modification.
    pub(super) fn check(&self, etag: &str, modified: i64) -> S3Result<()> {
        // HTTP dates have whole seconds.
        let modified = timestamp(modified / 1000 * 1000);
        let wanted = match (self.if_match, self.if_unmodified_since) {
            (Some(condition), _) => matches(condition, etag),
            (None, Some(time)) => modified <= *time,
            (None, None) => true,
        };
        if !wanted {
            return Err(s3_error!(PreconditionFailed, "the object has changed"));
        }
        let known = match (self.if_none_match, self.if_modified_since) {
            (Some(condition), _) => matches(condition, etag),
            (None, Some(time)) => modified <= *time,
            (None, None) => false,
        };
        if !known {
            return Ok(());
        }
        let mut unchanged = S3Error::new(S3ErrorCode::NotModified);
        let mut headers = HeaderMap::new();
        if let Ok(value) = ETag::Strong(etag.to_owned()).to_http_header() {
            headers.insert(http::header::ETAG, value);
        }
        unchanged.set_headers(headers);
        Err(unchanged)
    }
}
