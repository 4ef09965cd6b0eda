//! What `s3s` calls: the operations on buckets and listings here, the rest handed on to the module
//! of the same subject. An operation that is not here answers `NotImplemented`.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use super::listing::{Page, Query};
use super::object::timestamp;
use super::store::{Listed, Store};

/// A page has at most so many entries, whatever is asked for.
const MAXIMUM_PAGE: usize = 1000;

/// What a listing with `encoding-type=url` leaves as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// The store, as S3.
pub(super) struct Backend {
    pub(super) store: Arc<Store>,
}

#[async_trait]
impl S3 for Backend {
    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        let bucket = request.input.bucket;
        if !self.store.add_bucket(&bucket)? {
            return Err(s3_error!(
                BucketAlreadyOwnedByYou,
                "bucket {bucket:?} exists"
            ));
        }
        Ok(S3Response::new(CreateBucketOutput {
            location: Some(format!("/{bucket}")),
        }))
    }

    async fn delete_bucket(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        self.store.delete_bucket(&request.input.bucket)?;
        Ok(S3Response::new(DeleteBucketOutput::default()))
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.store.require_bucket(&request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.store.require_bucket(&request.input.bucket)?;
        Ok(S3Response::new(GetBucketLocationOutput::default()))
    }

    async fn list_buckets(
        &self,
        _request: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let buckets = self.store.buckets()?.into_iter();
        Ok(S3Response::new(ListBucketsOutput {
            buckets: Some(
                buckets
                    .map(|bucket| Bucket {
                        creation_date: Some(timestamp(bucket.created)),
                        name: Some(bucket.name),
                        ..Bucket::default()
                    })
                    .collect(),
            ),
            ..ListBucketsOutput::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let token = input
            .continuation_token
            .as_deref()
            .map(decode_token)
            .transpose()?;
        let limit = limit(input.max_keys)?;
        let after = token.as_deref().or(input.start_after.as_deref());
        let page = self.store.list(
            &input.bucket,
            &Query {
                prefix: input.prefix.as_deref().unwrap_or_default(),
                delimiter: input
                    .delimiter
                    .as_deref()
                    .filter(|delimiter| !delimiter.is_empty()),
                after: after.unwrap_or_default(),
                limit,
            },
        )?;
        let encoding = input.encoding_type.as_ref();
        let next = page.next.as_ref();
        Ok(S3Response::new(ListObjectsV2Output {
            key_count: i32::try_from(page.entries.len() + page.prefixes.len()).ok(),
            is_truncated: Some(next.is_some()),
            next_continuation_token: next.map(|next| BASE64_URL_SAFE_NO_PAD.encode(next)),
            common_prefixes: Some(common_prefixes(&page, encoding)),
            contents: Some(contents(page, encoding)),
            name: Some(input.bucket),
            prefix: Some(encoded(input.prefix.unwrap_or_default(), encoding)),
            delimiter: input
                .delimiter
                .map(|delimiter| encoded(delimiter, encoding)),
            start_after: input.start_after.map(|after| encoded(after, encoding)),
            continuation_token: input.continuation_token,
            encoding_type: input.encoding_type,
            max_keys: i32::try_from(limit).ok(),
            request_charged: None,
        }))
    }

    async fn list_objects(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = request.input;
        let limit = limit(input.max_keys)?;
        let mut page = self.store.list(
            &input.bucket,
            &Query {
                prefix: input.prefix.as_deref().unwrap_or_default(),
                delimiter: input
                    .delimiter
                    .as_deref()
                    .filter(|delimiter| !delimiter.is_empty()),
                after: input.marker.as_deref().unwrap_or_default(),
                limit,
            },
        )?;
        let encoding = input.encoding_type.as_ref();
        let next = page.next.take();
        Ok(S3Response::new(ListObjectsOutput {
            is_truncated: Some(next.is_some()),
            next_marker: next.map(|next| encoded(next, encoding)),
            common_prefixes: Some(common_prefixes(&page, encoding)),
            contents: Some(contents(page, encoding)),
            name: Some(input.bucket),
            prefix: Some(encoded(input.prefix.unwrap_or_default(), encoding)),
            delimiter: input
                .delimiter
                .map(|delimiter| encoded(delimiter, encoding)),
            marker: Some(encoded(input.marker.unwrap_or_default(), encoding)),
            encoding_type: input.encoding_type,
            max_keys: i32::try_from(limit).ok(),
            request_charged: None,
        }))
    }

    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        self.put(request).await
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        self.get(&request.input)
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        self.head(&request.input)
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        self.copy(request.input).await
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.delete(request.input)
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.delete_many(request.input)
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.begin(request.input)
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        self.put_part(request).await
    }

    async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        self.copy_part(request.input).await
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.complete(request.input)
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.abort(&request.input)
    }

    async fn list_parts(
        &self,
        request: S3Request<ListPartsInput>,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        self.parts(request.input)
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        self.uploads(request.input)
    }
}

/// The length of a page when so many entries are asked for.
pub(super) fn limit(asked: Option<i32>) -> S3Result<usize> {
    let Some(asked) = asked else {
        return Ok(MAXIMUM_PAGE);
    };
    let asked = usize::try_from(asked)
        .map_err(|error| s3_error!(error, InvalidArgument, "a page cannot have {asked} entries"))?;
    Ok(asked.min(MAXIMUM_PAGE))
}

/// `text` as the listing's encoding wants it: XML cannot carry every character of a key.
pub(super) fn encoded(text: String, encoding: Option<&EncodingType>) -> String {
    if encoding.is_some_and(|encoding| encoding.as_str() == EncodingType::URL) {
        utf8_percent_encode(&text, UNRESERVED).to_string()
    } else {
        text
    }
}

fn decode_token(token: &str) -> S3Result<String> {
    BASE64_URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|key| String::from_utf8(key).ok())
        .ok_or_else(|| {
            s3_error!(
                InvalidArgument,
                "this continuation token is not one of ours"
            )
        })
}

fn common_prefixes<T>(page: &Page<T>, encoding: Option<&EncodingType>) -> Vec<CommonPrefix> {
    let prefixes = page.prefixes.iter();
    prefixes
        .map(|prefix| CommonPrefix {
            prefix: Some(encoded(prefix.clone(), encoding)),
        })
        .collect()
}

fn contents(page: Page<Listed>, encoding: Option<&EncodingType>) -> Vec<Object> {
    let entries = page.entries.into_iter();
    entries
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
