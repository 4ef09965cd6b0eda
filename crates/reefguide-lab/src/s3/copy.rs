//! The operations that copy an object, or a range of it.

use std::pin::pin;

use s3s::dto::*;
use s3s::{S3Response, S3Result, s3_error};

use super::blob::{self, WriteError};
use super::checksum::{Algorithm, set_checksum};
use super::conditions::{ReadCondition, WriteCondition};
use super::error::ObjectStoreError;
use super::protocol::{algorithm, give_checksum, headers_of, new_object, satisfiable};
use super::receive::{self, ReceivedBody};
use super::store::{Object, ObjectStore};
use super::time::timestamp;
use super::upload::Part;
use crate::hex::hex;

pub(super) async fn copy_object(
    store: &ObjectStore,
    input: CopyObjectInput,
) -> S3Result<S3Response<CopyObjectOutput>> {
    let (bucket, key) = source_of(&input.copy_source)?;
    let source = store.get(bucket, key)?;
    check_source!(input, source);
    let replaces_headers = input
        .metadata_directive
        .as_ref()
        .is_some_and(|directive| directive.as_str() == MetadataDirective::REPLACE);
    if !replaces_headers && bucket == input.bucket && key == input.key {
        return Err(s3_error!(
            InvalidRequest,
            "an object can be copied onto itself only with new metadata"
        ));
    }
    let algorithm = algorithm(input.checksum_algorithm.as_ref())?
        .or(source.checksum.as_ref().map(|checksum| checksum.algorithm));
    let range = 0..source.size;
    let headers = if replaces_headers {
        headers_of!(input)
    } else {
        source.headers.clone()
    };
    let received = write_copy(store, source, range, algorithm).await?;
    let object = new_object(received, headers);
    store.put(
        &input.bucket,
        &input.key,
        &object,
        &WriteCondition::default(),
    )?;
    let mut result = CopyObjectResult {
        e_tag: Some(ETag::Strong(object.etag)),
        last_modified: Some(timestamp(object.modified)),
        ..CopyObjectResult::default()
    };
    give_checksum!(result, object);
    Ok(S3Response::new(CopyObjectOutput {
        copy_object_result: Some(result),
        ..CopyObjectOutput::default()
    }))
}

pub(super) async fn copy_part(
    store: &ObjectStore,
    input: UploadPartCopyInput,
) -> S3Result<S3Response<UploadPartCopyOutput>> {
    let (bucket, key) = source_of(&input.copy_source)?;
    let source = store.get(bucket, key)?;
    check_source!(input, source);
    let range = match &input.copy_source_range {
        Some(range) => {
            let range = Range::parse(range)
                .map_err(|error| s3_error!(error, InvalidArgument, "invalid copy range"))?;
            satisfiable(range, source.size)?
        }
        None => 0..source.size,
    };
    let upload = store.upload(&input.bucket, &input.key, &input.upload_id)?;
    let algorithm = upload.checksum.map(|(algorithm, _)| algorithm);
    let received = write_copy(store, source, range, algorithm).await?;
    let part = Part::new(input.part_number, received);
    store.put_part(&input.bucket, &input.key, &input.upload_id, &part)?;
    let mut result = CopyPartResult {
        e_tag: Some(ETag::Strong(hex(&part.md5))),
        last_modified: Some(timestamp(part.modified)),
        ..CopyPartResult::default()
    };
    if let Some(checksum) = part.checksum {
        set_checksum!(result, checksum.algorithm, checksum.value);
    }
    Ok(S3Response::new(UploadPartCopyOutput {
        copy_part_result: Some(result),
        ..UploadPartCopyOutput::default()
    }))
}

async fn write_copy(
    store: &ObjectStore,
    source: Object,
    range: std::ops::Range<u64>,
    algorithm: Option<Algorithm>,
) -> Result<ReceivedBody, ObjectStoreError> {
    let bytes = pin!(blob::read(source.segments, range));
    receive::write(&store.blobs, bytes, algorithm)
        .await
        .map_err(|(WriteError::Bytes(error) | WriteError::File(error))| error.into())
}

/// Checks the conditions of a copy on its source. If one fails, it is never `NotModified`.
macro_rules! check_source {
    ($input:expr, $source:expr) => {
        ReadCondition {
            if_match: $input.copy_source_if_match.as_ref(),
            if_none_match: $input.copy_source_if_none_match.as_ref(),
            if_modified_since: $input.copy_source_if_modified_since.as_ref(),
            if_unmodified_since: $input.copy_source_if_unmodified_since.as_ref(),
        }
        .check(&$source.etag, $source.modified)
        .map_err(|_| ObjectStoreError::PreconditionFailed("x-amz-copy-source-if"))?
    };
}
use check_source;

fn source_of(source: &CopySource) -> S3Result<(&str, &str)> {
    match source {
        CopySource::Bucket { bucket, key, .. } => Ok((bucket, key)),
        _ => Err(s3_error!(
            NotImplemented,
            "only objects in buckets of this server can be copied"
        )),
    }
}
