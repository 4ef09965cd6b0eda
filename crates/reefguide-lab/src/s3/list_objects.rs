//! The operations that list objects.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use s3s::dto::*;
use s3s::{S3Response, S3Result, s3_error};

use super::protocol::{common_prefixes, encoded, encoded_if_any, limit, query_of};
use super::store::{ListedObject, ObjectStore};
use super::time::timestamp;

/// Version 2 of the operation: pages continue at a token.
pub(super) fn version_2(
    store: &ObjectStore,
    input: ListObjectsV2Input,
) -> S3Result<S3Response<ListObjectsV2Output>> {
    let token = input
        .continuation_token
        .as_deref()
        .map(decode_token)
        .transpose()?;
    let limit = limit(input.max_keys)?;
    let after = token.as_deref().or(input.start_after.as_deref());
    let page = store.list(&input.bucket, &query_of!(input, after, limit))?;
    let encoding = input.encoding_type.as_ref();
    Ok(S3Response::new(ListObjectsV2Output {
        key_count: i32::try_from(page.entries.len() + page.prefixes.len()).ok(),
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.map(|next| BASE64_URL_SAFE_NO_PAD.encode(next)),
        common_prefixes: common_prefixes(page.prefixes, encoding),
        contents: Some(contents(page.entries, encoding)),
        name: Some(input.bucket),
        prefix: Some(encoded(input.prefix.unwrap_or_default(), encoding)),
        delimiter: encoded_if_any(input.delimiter, encoding),
        start_after: encoded_if_any(input.start_after, encoding),
        continuation_token: input.continuation_token,
        encoding_type: input.encoding_type,
        max_keys: i32::try_from(limit).ok(),
        request_charged: None,
    }))
}

/// Version 1 of the operation: pages continue at a marker.
pub(super) fn version_1(
    store: &ObjectStore,
    input: ListObjectsInput,
) -> S3Result<S3Response<ListObjectsOutput>> {
    let limit = limit(input.max_keys)?;
    let after = input.marker.as_deref();
    let page = store.list(&input.bucket, &query_of!(input, after, limit))?;
    let encoding = input.encoding_type.as_ref();
    Ok(S3Response::new(ListObjectsOutput {
        is_truncated: Some(page.next.is_some()),
        next_marker: page.next.map(|next| encoded(next, encoding)),
        common_prefixes: common_prefixes(page.prefixes, encoding),
        contents: Some(contents(page.entries, encoding)),
        name: Some(input.bucket),
        prefix: Some(encoded(input.prefix.unwrap_or_default(), encoding)),
        delimiter: encoded_if_any(input.delimiter, encoding),
        marker: Some(encoded(input.marker.unwrap_or_default(), encoding)),
        encoding_type: input.encoding_type,
        max_keys: i32::try_from(limit).ok(),
        request_charged: None,
    }))
}

fn contents(entries: Vec<ListedObject>, encoding: Option<&EncodingType>) -> Vec<Object> {
    entries
        .into_iter()
        .map(|listed| Object {
            key: Some(encoded(listed.key, encoding)),
            e_tag: Some(ETag::Strong(listed.etag)),
            size: Some(listed.size.cast_signed()),
            last_modified: Some(timestamp(listed.modified)),
            storage_class: Some(ObjectStorageClass::from_static(
                ObjectStorageClass::STANDARD,
            )),
            ..Object::default()
        })
        .collect()
}

fn decode_token(token: &str) -> S3Result<String> {
    BASE64_URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|key| String::from_utf8(key).ok())
        .ok_or_else(|| {
            s3_error!(
                InvalidArgument,
                "this is not a continuation token of this server"
            )
        })
}
