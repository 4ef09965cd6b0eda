//! The operations of multipart uploads.

use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::checksum::{Algorithm, checksum_type, sent_checksums, set_checksum};
use super::conditions::WriteCondition;
use super::protocol::{
    algorithm, common_prefixes, encoded, encoded_if_any, give_checksum, headers_of, limit, query_of,
};
use super::receive::IncomingBody;
use super::store::ObjectStore;
use super::time::timestamp;
use super::upload::{CompletedPart, Completion, Part, Upload};
use crate::hex::hex;

pub(super) fn create(
    store: &ObjectStore,
    input: CreateMultipartUploadInput,
) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
    let asked = input.checksum_type.as_ref().map(ChecksumType::as_str);
    let checksum = algorithm(input.checksum_algorithm.as_ref())?
        .map(|algorithm| match algorithm.composite(asked) {
            Some(composite) => Ok((algorithm, composite)),
            None => Err(s3_error!(
                InvalidRequest,
                "{} has no checksum of type {}",
                algorithm.name(),
                asked.unwrap_or_default()
            )),
        })
        .transpose()?;
    let headers = headers_of!(input);
    let id = store.create_upload(&input.bucket, &input.key, &headers, checksum)?;
    let (checksum_algorithm, checksum_type) = names(checksum);
    Ok(S3Response::new(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(id),
        checksum_algorithm,
        checksum_type,
        ..CreateMultipartUploadOutput::default()
    }))
}

pub(super) async fn upload_part(
    store: &ObjectStore,
    request: S3Request<UploadPartInput>,
) -> S3Result<S3Response<UploadPartOutput>> {
    let input = request.input;
    if !(1..=10_000).contains(&input.part_number) {
        return Err(s3_error!(
            InvalidArgument,
            "part numbers are from 1 to 10000"
        ));
    }
    // A missing upload is refused when the part is stored: a client that is still sending may not read the response.
    let upload = store
        .upload(&input.bucket, &input.key, &input.upload_id)
        .ok();
    let wanted = upload.and_then(|upload| Some(upload.checksum?.0));
    let sent = IncomingBody {
        checksums: sent_checksums!(input).collect(),
        body: input.body,
        length: input.content_length,
        md5: input.content_md5,
        algorithm: wanted.or(algorithm(input.checksum_algorithm.as_ref())?),
        announced_trailer: IncomingBody::announced(&request.headers),
        trailers: request.trailing_headers,
    };
    let received = sent.receive(&store.blobs).await?;
    if let (Some(wanted), Some(checksum)) = (wanted, &received.checksum)
        && wanted != checksum.algorithm
    {
        return Err(s3_error!(
            InvalidRequest,
            "the upload was created with {}, not with {}",
            wanted.name(),
            checksum.algorithm.name()
        ));
    }
    let part = Part::new(input.part_number, received);
    store.put_part(&input.bucket, &input.key, &input.upload_id, &part)?;
    let mut output = UploadPartOutput {
        e_tag: Some(ETag::Strong(hex(&part.md5))),
        ..UploadPartOutput::default()
    };
    if let Some(checksum) = part.checksum {
        set_checksum!(output, checksum.algorithm, checksum.value);
    }
    Ok(S3Response::new(output))
}

pub(super) fn complete(
    store: &ObjectStore,
    input: CompleteMultipartUploadInput,
) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
    let checksum = sent_checksums!(input).next();
    let parts = input
        .multipart_upload
        .and_then(|upload| upload.parts)
        .unwrap_or_default();
    if parts.is_empty() {
        return Err(s3_error!(MalformedXML, "no parts are listed"));
    }
    let completion = Completion {
        parts: parts
            .into_iter()
            .map(|part| CompletedPart {
                number: part.part_number.unwrap_or_default(),
                checksum: sent_checksums!(part).next(),
                etag: part.e_tag.map(ETag::into_value),
            })
            .collect(),
        checksum,
        size: input.mpu_object_size.map(i64::cast_unsigned),
        condition: WriteCondition {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
        },
    };
    let object = store.complete(&input.bucket, &input.key, &input.upload_id, &completion)?;
    let mut output = CompleteMultipartUploadOutput {
        location: Some(format!("/{}/{}", input.bucket, input.key)),
        bucket: Some(input.bucket),
        key: Some(input.key),
        e_tag: Some(ETag::Strong(object.etag)),
        ..CompleteMultipartUploadOutput::default()
    };
    give_checksum!(output, object);
    Ok(S3Response::new(output))
}

pub(super) fn abort(
    store: &ObjectStore,
    input: &AbortMultipartUploadInput,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    store.abort(&input.bucket, &input.key, &input.upload_id)?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}

pub(super) fn list_parts(
    store: &ObjectStore,
    input: ListPartsInput,
) -> S3Result<S3Response<ListPartsOutput>> {
    let upload = store.upload(&input.bucket, &input.key, &input.upload_id)?;
    let limit = limit(input.max_parts)?;
    let after = input.part_number_marker.unwrap_or_default();
    let mut parts = store.parts(&upload.id, after, limit + 1)?;
    let is_truncated = parts.len() > limit && limit > 0;
    parts.truncate(limit);
    let (checksum_algorithm, checksum_type) = names(upload.checksum);
    Ok(S3Response::new(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(upload.id),
        checksum_algorithm,
        checksum_type,
        max_parts: i32::try_from(limit).ok(),
        part_number_marker: Some(after),
        next_part_number_marker: parts
            .last()
            .map(|part| part.number)
            .filter(|_| is_truncated),
        is_truncated: Some(is_truncated),
        parts: Some(parts.into_iter().map(listed_part).collect()),
        ..ListPartsOutput::default()
    }))
}

pub(super) fn list_uploads(
    store: &ObjectStore,
    input: ListMultipartUploadsInput,
) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
    let limit = limit(input.max_uploads)?;
    let query = query_of!(input, input.key_marker.as_deref(), limit);
    let page = store.uploads(&input.bucket, &query, input.upload_id_marker.as_deref())?;
    let last = page.entries.last();
    let next_id = last.filter(|upload| page.next.as_ref() == Some(&upload.key));
    let encoding = input.encoding_type.as_ref();
    let listed = |upload: Upload| {
        let (checksum_algorithm, checksum_type) = names(upload.checksum);
        MultipartUpload {
            key: Some(encoded(upload.key, encoding)),
            upload_id: Some(upload.id),
            initiated: Some(timestamp(upload.started)),
            checksum_algorithm,
            checksum_type,
            ..MultipartUpload::default()
        }
    };
    Ok(S3Response::new(ListMultipartUploadsOutput {
        is_truncated: Some(page.next.is_some()),
        next_upload_id_marker: next_id.map(|upload| upload.id.clone()),
        next_key_marker: page.next.map(|key| encoded(key, encoding)),
        common_prefixes: common_prefixes(page.prefixes, encoding),
        uploads: Some(page.entries.into_iter().map(listed).collect()),
        max_uploads: i32::try_from(limit).ok(),
        bucket: Some(input.bucket),
        prefix: encoded_if_any(input.prefix, encoding),
        delimiter: encoded_if_any(input.delimiter, encoding),
        key_marker: encoded_if_any(input.key_marker, encoding),
        upload_id_marker: input.upload_id_marker,
        encoding_type: input.encoding_type,
        ..ListMultipartUploadsOutput::default()
    }))
}

fn listed_part(part: Part) -> s3s::dto::Part {
    let mut listed = s3s::dto::Part {
        e_tag: Some(ETag::Strong(hex(&part.md5))),
        last_modified: Some(timestamp(part.modified)),
        part_number: Some(part.number),
        size: Some(part.segment.size.cast_signed()),
        ..s3s::dto::Part::default()
    };
    if let Some(checksum) = part.checksum {
        set_checksum!(listed, checksum.algorithm, checksum.value);
    }
    listed
}

/// The algorithm and the type of an upload's checksum.
fn names(checksum: Option<(Algorithm, bool)>) -> (Option<ChecksumAlgorithm>, Option<ChecksumType>) {
    let names = checksum.map(|(algorithm, composite)| {
        let name = ChecksumAlgorithm::from_static(algorithm.name());
        (name, checksum_type(composite))
    });
    names.unzip()
}
