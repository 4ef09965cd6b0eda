//! The operations that the S3 server has. Each is in the module for its subject. An operation that is not here responds with
//! `NotImplemented`.

use std::sync::Arc;

use async_trait::async_trait;
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result};

use super::store::ObjectStore;
use super::{bucket, copy, list_objects, multipart, object};

/// The store behind the protocol.
pub(super) struct Backend {
    pub(super) store: Arc<ObjectStore>,
}

/// Implements [`S3`]: the name of each operation, its input and output, and the call that performs it.
macro_rules! operations {
    (|$store:ident, $request:ident| $($name:ident($input:ty) -> $output:ty = $call:expr;)*) => {
        #[async_trait]
        impl S3 for Backend {
            $(async fn $name(&self, $request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                let $store = &self.store;
                $call
            })*
        }
    };
}

operations! { |store, request|
    create_bucket(CreateBucketInput) -> CreateBucketOutput = bucket::create(store, request.input);
    delete_bucket(DeleteBucketInput) -> DeleteBucketOutput = bucket::delete(store, &request.input);
    head_bucket(HeadBucketInput) -> HeadBucketOutput = bucket::head(store, &request.input);
    get_bucket_location(GetBucketLocationInput) -> GetBucketLocationOutput =
        bucket::location(store, &request.input);
    list_buckets(ListBucketsInput) -> ListBucketsOutput = { drop(request); bucket::list(store) };

    list_objects(ListObjectsInput) -> ListObjectsOutput = list_objects::version_1(store, request.input);
    list_objects_v2(ListObjectsV2Input) -> ListObjectsV2Output = list_objects::version_2(store, request.input);

    put_object(PutObjectInput) -> PutObjectOutput = object::put(store, request).await;
    get_object(GetObjectInput) -> GetObjectOutput = object::get(store, &request.input);
    head_object(HeadObjectInput) -> HeadObjectOutput = object::head(store, &request.input);
    delete_object(DeleteObjectInput) -> DeleteObjectOutput = object::delete(store, request.input);
    delete_objects(DeleteObjectsInput) -> DeleteObjectsOutput = object::delete_many(store, request.input);
    copy_object(CopyObjectInput) -> CopyObjectOutput = copy::copy_object(store, request.input).await;

    create_multipart_upload(CreateMultipartUploadInput) -> CreateMultipartUploadOutput =
        multipart::create(store, request.input);
    upload_part(UploadPartInput) -> UploadPartOutput = multipart::upload_part(store, request).await;
    upload_part_copy(UploadPartCopyInput) -> UploadPartCopyOutput = copy::copy_part(store, request.input).await;
    complete_multipart_upload(CompleteMultipartUploadInput) -> CompleteMultipartUploadOutput =
        multipart::complete(store, request.input);
    abort_multipart_upload(AbortMultipartUploadInput) -> AbortMultipartUploadOutput =
        multipart::abort(store, &request.input);
    list_parts(ListPartsInput) -> ListPartsOutput = multipart::list_parts(store, request.input);
    list_multipart_uploads(ListMultipartUploadsInput) -> ListMultipartUploadsOutput =
        multipart::list_uploads(store, request.input);
}
