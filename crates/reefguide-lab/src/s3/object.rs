//! The operations on one object: put, get, head, delete.

use s3s::dto::*;
use s3s::{S3Error, S3ErrorCode, S3Request, S3Response, S3Result, s3_error};

use super::blob;
use super::checksum::sent_checksums;
use super::conditions::{ReadCondition, WriteCondition};
use super::protocol::{algorithm, give_checksum, headers_of, new_object, satisfiable};
use super::receive::IncomingBody;
use super::store::{Object, ObjectStore};
use super::time::timestamp;

/// Checks the conditions of a request on the object that it reads.
macro_rules! check_read {
    ($input:expr, $object:expr) => {
        ReadCondition {
            if_match: $input.if_match.as_ref(),
            if_none_match: $input.if_none_match.as_ref(),
            if_modified_since: $input.if_modified_since.as_ref(),
            if_unmodified_since: $input.if_unmodified_since.as_ref(),
        }
        .check(&$object.etag, $object.modified)?
    };
}

/// An output with the headers of an object.
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

pub(super) async fn put(
    store: &ObjectStore,
    request: S3Request<PutObjectInput>,
) -> S3Result<S3Response<PutObjectOutput>> {
    let input = request.input;
    let headers = headers_of!(input);
    let sent = IncomingBody {
        checksums: sent_checksums!(input).collect(),
        body: input.body,
        length: input.content_length,
        md5: input.content_md5,
        algorithm: algorithm(input.checksum_algorithm.as_ref())?,
        announced_trailer: IncomingBody::announced(&request.headers),
        trailers: request.trailing_headers,
    };
    let object = new_object(sent.receive(&store.blobs).await?, headers);
    let condition = WriteCondition {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
    };
    store.put(&input.bucket, &input.key, &object, &condition)?;
    let mut output = PutObjectOutput {
        e_tag: Some(ETag::Strong(object.etag)),
        ..PutObjectOutput::default()
    };
    give_checksum!(output, object);
    Ok(S3Response::new(output))
}

pub(super) fn get(
    store: &ObjectStore,
    input: &GetObjectInput,
) -> S3Result<S3Response<GetObjectOutput>> {
    let object = store.get(&input.bucket, &input.key)?;
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

pub(super) fn head(
    store: &ObjectStore,
    input: &HeadObjectInput,
) -> S3Result<S3Response<HeadObjectOutput>> {
    let object = store.get(&input.bucket, &input.key)?;
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
    store: &ObjectStore,
    input: DeleteObjectInput,
) -> S3Result<S3Response<DeleteObjectOutput>> {
    let condition = WriteCondition {
        if_match: input.if_match,
        if_none_match: None,
    };
    store.delete(&input.bucket, &input.key, &condition)?;
    Ok(S3Response::new(DeleteObjectOutput::default()))
}

/// Deletes each object separately, so that one that fails does not stop the others.
pub(super) fn delete_many(
    store: &ObjectStore,
    input: DeleteObjectsInput,
) -> S3Result<S3Response<DeleteObjectsOutput>> {
    store.require_bucket(&input.bucket)?;
    if input.delete.objects.len() > 1000 {
        return Err(s3_error!(MalformedXML, "more than 1000 keys to delete"));
    }
    let quiet = input.delete.quiet.unwrap_or_default();
    let mut output = DeleteObjectsOutput::default();
    for object in input.delete.objects {
        let condition = WriteCondition {
            if_match: object.e_tag.map(ETagCondition::ETag),
            if_none_match: None,
        };
        match store.delete(&input.bucket, &object.key, &condition) {
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

/// The size of one part of an object. An object that was stored in one request has one part.
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

fn wants_checksum(mode: Option<&ChecksumMode>) -> bool {
    mode.is_some_and(|mode| mode.as_str() == ChecksumMode::ENABLED)
}
