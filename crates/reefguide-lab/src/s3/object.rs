//! The operations on one object: put, get, head, delete.

use std::ops::Range;
use std::time::{Duration, UNIX_EPOCH};

use http::HeaderMap;
use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::backend::Backend;
use super::blob;
use super::checksum::{Algorithm, hex, sent_checksums};
use super::receive::{Received, Sent};
use super::store::{Condition, Headers, Object, matches, now};

/// What S3 calls content whose type nobody said.
pub(super) const DEFAULT_CONTENT_TYPE: &str = "binary/octet-stream";

/// The headers a request gives to the object it makes.
macro_rules! headers_of {
    ($input:expr) => {
        $crate::s3::store::Headers {
            cache_control: $input.cache_control,
            content_disposition: $input.content_disposition,
            content_encoding: $crate::s3::object::stored_encoding(
                $input.content_encoding.as_deref(),
            ),
            content_language: $input.content_language,
            content_type: $input
                .content_type
                .or_else(|| Some($crate::s3::object::DEFAULT_CONTENT_TYPE.to_owned())),
            expires: $input.expires,
            metadata: $input.metadata,
        }
    };
}
pub(super) use headers_of;

/// Checks the conditions a request sets on the object it reads.
macro_rules! check_read {
    ($input:expr, $object:expr) => {
        ReadCondition {
            if_match: $input.if_match.as_ref(),
            if_none_match: $input.if_none_match.as_ref(),
            if_modified_since: $input.if_modified_since.as_ref(),
            if_unmodified_since: $input.if_unmodified_since.as_ref(),
        }
        .check(&$object)?
    };
}

/// Says in an answer what is known about an object.
macro_rules! describe {
    ($output:ident, $object:expr) => {
        $output {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: $object.headers.cache_control,
            content_disposition: $object.headers.content_disposition,
            content_encoding: $object.headers.content_encoding,
            content_language: $object.headers.content_language,
            content_length: Some($object.size.cast_signed()),
            content_type: $object.headers.content_type,
            e_tag: Some(ETag::Strong($object.etag)),
            expires: $object.headers.expires,
            last_modified: Some(timestamp($object.modified)),
            metadata: $object.headers.metadata,
            ..$output::default()
        }
    };
}

/// Puts the checksum of an object into an answer.
macro_rules! give_checksum {
    ($output:expr, $object:expr) => {
        if let Some(checksum) = $object.checksum {
            $output.checksum_type = Some(checksum.covers());
            $crate::s3::checksum::set_checksum!($output, checksum.algorithm, checksum.value);
        }
    };
}
pub(super) use give_checksum;

impl Backend {
    pub(super) async fn put(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        let headers = headers_of!(input);
        let sent = Sent {
            checksums: sent_checksums!(input).collect(),
            body: input.body,
            length: input.content_length,
            md5: input.content_md5,
            algorithm: algorithm(input.checksum_algorithm.as_ref())?,
            announced_trailer: Sent::announced(&request.headers),
            trailers: request.trailing_headers,
        };
        let object = new_object(sent.receive(&self.store.blobs).await?, headers);
        let condition = Condition {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
        };
        self.store
            .put(&input.bucket, &input.key, &object, &condition)?;
        let mut output = PutObjectOutput {
            e_tag: Some(ETag::Strong(object.etag)),
            ..PutObjectOutput::default()
        };
        give_checksum!(output, object);
        Ok(S3Response::new(output))
    }

    pub(super) fn get(&self, input: &GetObjectInput) -> S3Result<S3Response<GetObjectOutput>> {
        let object = self.store.get(&input.bucket, &input.key)?;
        check_read!(input, object);
        let range = input
            .range
            .map(|range| satisfiable(range, object.size))
            .transpose()?;
        let mut output = describe!(GetObjectOutput, object);
        if let Some(range) = &range {
            let (first, last, size) = (range.start, range.end - 1, object.size);
            output.content_range = Some(format!("bytes {first}-{last}/{size}"));
            output.content_length = Some((range.end - range.start).cast_signed());
        } else if wants_checksum(input.checksum_mode.as_ref()) {
            give_checksum!(output, object);
        }
        let wanted = range.unwrap_or(0..object.size);
        output.body = Some(StreamingBlob::wrap(blob::read(object.segments, wanted)));
        Ok(S3Response::new(output))
    }

    pub(super) fn head(&self, input: &HeadObjectInput) -> S3Result<S3Response<HeadObjectOutput>> {
        let object = self.store.get(&input.bucket, &input.key)?;
        check_read!(input, object);
        let part = input
            .part_number
            .map(|number| part(&object, number))
            .transpose()?;
        let parts = object.segments.len();
        let mut output = describe!(HeadObjectOutput, object);
        if let Some(size) = part {
            output.content_length = Some(size.cast_signed());
            output.parts_count = i32::try_from(parts).ok().filter(|parts| *parts > 1);
        } else if wants_checksum(input.checksum_mode.as_ref()) {
            give_checksum!(output, object);
        }
        Ok(S3Response::new(output))
    }

    pub(super) fn delete(
        &self,
        input: DeleteObjectInput,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let condition = Condition {
            if_match: input.if_match,
            if_none_match: None,
        };
        self.store.delete(&input.bucket, &input.key, &condition)?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    /// Deletes each object by itself: one that fails does not stop the others.
    pub(super) fn delete_many(
        &self,
        input: DeleteObjectsInput,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.store.require_bucket(&input.bucket)?;
        if input.delete.objects.len() > 1000 {
            return Err(s3_error!(MalformedXML, "more than 1000 keys to delete"));
        }
        let quiet = input.delete.quiet.unwrap_or_default();
        let mut output = DeleteObjectsOutput::default();
        for object in input.delete.objects {
            let condition = Condition {
                if_match: object.e_tag.map(ETagCondition::ETag),
                if_none_match: None,
            };
            match self.store.delete(&input.bucket, &object.key, &condition) {
                Ok(()) if quiet => {}
                Ok(()) => output.deleted.get_or_insert_default().push(DeletedObject {
                    key: Some(object.key),
                    ..DeletedObject::default()
                }),
                Err(error) => {
                    let message = error.to_string();
                    let code = S3Error::from(error).code().as_str().to_owned();
                    output.errors.get_or_insert_default().push(Error {
                        code: Some(code),
                        key: Some(object.key),
                        message: Some(message),
                        version_id: None,
                    });
                }
            }
        }
        Ok(S3Response::new(output))
    }
}

/// The size of one part of an object; one that was stored in one request is its own first part.
fn part(object: &Object, number: i32) -> S3Result<u64> {
    let index = number.checked_sub(1).and_then(|n| usize::try_from(n).ok());
    let part = index.and_then(|index| object.segments.get(index));
    match part {
        Some(segment) => Ok(segment.size),
        None if number == 1 => Ok(object.size),
        None => Err(S3Error::with_message(
            S3ErrorCode::Custom("InvalidPartNumber".into()),
            "The requested partnumber is not satisfiable",
        )),
    }
}

/// What must hold for an object to be read.
pub(super) struct ReadCondition<'a> {
    pub(super) if_match: Option<&'a ETagCondition>,
    pub(super) if_none_match: Option<&'a ETagCondition>,
    pub(super) if_modified_since: Option<&'a Timestamp>,
    pub(super) if_unmodified_since: Option<&'a Timestamp>,
}

impl ReadCondition<'_> {
    /// Fails with `PreconditionFailed` or `NotModified`. Entity tags outweigh times.
    pub(super) fn check(&self, object: &Object) -> S3Result<()> {
        // HTTP dates have whole seconds.
        let modified = timestamp(object.modified / 1000 * 1000);
        let wanted = match (self.if_match, self.if_unmodified_since) {
            (Some(condition), _) => matches(condition, &object.etag),
            (None, Some(time)) => modified <= *time,
            (None, None) => true,
        };
        if !wanted {
            return Err(s3_error!(
                PreconditionFailed,
                "the object is another one by now"
            ));
        }
        let known = match (self.if_none_match, self.if_modified_since) {
            (Some(condition), _) => matches(condition, &object.etag),
            (None, Some(time)) => modified <= *time,
            (None, None) => false,
        };
        if !known {
            return Ok(());
        }
        let mut unchanged = S3Error::new(S3ErrorCode::NotModified);
        let mut headers = HeaderMap::new();
        if let Ok(etag) = ETag::Strong(object.etag.clone()).to_http_header() {
            headers.insert(http::header::ETAG, etag);
        }
        unchanged.set_headers(headers);
        Err(unchanged)
    }
}

/// An object of one segment, just received.
pub(super) fn new_object(received: Received, headers: Headers) -> Object {
    Object {
        etag: hex(&received.md5),
        size: received.segment.size,
        modified: now(),
        headers,
        checksum: received.checksum,
        segments: vec![received.segment],
    }
}

/// The encoding to keep: `aws-chunked` is about the transfer only.
pub(super) fn stored_encoding(encoding: Option<&str>) -> Option<String> {
    let kept: Vec<&str> = encoding?
        .split(',')
        .map(str::trim)
        .filter(|coding| !coding.is_empty() && *coding != "aws-chunked")
        .collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

/// The algorithm asked for by name.
pub(super) fn algorithm(name: Option<&ChecksumAlgorithm>) -> S3Result<Option<Algorithm>> {
    name.map(|name| {
        Algorithm::from_name(name.as_str()).ok_or_else(|| {
            s3_error!(
                InvalidRequest,
                "{} is not one of CRC32, CRC32C, CRC64NVME, SHA1 and SHA256",
                name.as_str()
            )
        })
    })
    .transpose()
}

/// The time `milliseconds` after the start of 1970.
pub(super) fn timestamp(milliseconds: i64) -> Timestamp {
    let since = Duration::from_millis(milliseconds.try_into().unwrap_or_default());
    Timestamp::from(UNIX_EPOCH + since)
}

/// The bytes a range means in an object of `size` bytes.
pub(super) fn satisfiable(range: s3s::dto::Range, size: u64) -> S3Result<Range<u64>> {
    let range = range.check(size)?;
    if range.is_empty() {
        return Err(s3_error!(InvalidRange));
    }
    Ok(range)
}

fn wants_checksum(mode: Option<&ChecksumMode>) -> bool {
    mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED)
}
