//! The errors of the object store, and S3's codes for them.

use std::io;
use std::path::PathBuf;

use s3s::{S3Error, S3ErrorCode};

/// Why the object store failed or refused a request.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObjectStoreError {
    #[error("cannot use the storage folder {}", folder.display())]
    Folder { folder: PathBuf, source: io::Error },
    #[error("cannot use the index of stored objects")]
    Index(#[from] rusqlite::Error),
    #[error("cannot read an entry of the index of stored objects")]
    Entry(#[from] serde_json::Error),
    #[error("cannot read or write the bytes of an object")]
    Bytes(#[from] io::Error),
    #[error(
        "bucket name {0:?} is not valid: use 3 to 63 lower-case letters, digits, dots and hyphens"
    )]
    BucketName(String),
    #[error("bucket {0:?} does not exist")]
    NoSuchBucket(String),
    #[error("bucket {0:?} has objects or uploads: delete them first")]
    BucketNotEmpty(String),
    #[error("key {0:?} does not exist")]
    NoSuchKey(String),
    #[error("multipart upload {0:?} does not exist: it may have been completed or aborted")]
    NoSuchUpload(String),
    #[error("the condition in {0} does not hold")]
    PreconditionFailed(&'static str),
    #[error("part {0} was not uploaded, or its entity tag or checksum differs")]
    InvalidPart(i32),
    #[error("part {0} is out of order: part numbers must ascend")]
    InvalidPartOrder(i32),
    #[error("part {number} has {size} bytes: every part but the last needs {minimum}")]
    EntityTooSmall {
        number: i32,
        size: u64,
        minimum: u64,
    },
    #[error("the {0} sent does not match the bytes received")]
    BadDigest(&'static str),
    #[error("{0}")]
    InvalidRequest(String),
}

impl From<ObjectStoreError> for S3Error {
    fn from(error: ObjectStoreError) -> Self {
        let code = match &error {
            ObjectStoreError::Folder { .. }
            | ObjectStoreError::Index(_)
            | ObjectStoreError::Entry(_)
            | ObjectStoreError::Bytes(_) => S3ErrorCode::InternalError,
            ObjectStoreError::BucketName(_) => S3ErrorCode::InvalidBucketName,
            ObjectStoreError::NoSuchBucket(_) => S3ErrorCode::NoSuchBucket,
            ObjectStoreError::BucketNotEmpty(_) => S3ErrorCode::BucketNotEmpty,
            ObjectStoreError::NoSuchKey(_) => S3ErrorCode::NoSuchKey,
            ObjectStoreError::NoSuchUpload(_) => S3ErrorCode::NoSuchUpload,
            ObjectStoreError::PreconditionFailed(_) => S3ErrorCode::PreconditionFailed,
            ObjectStoreError::InvalidPart(_) => S3ErrorCode::InvalidPart,
            ObjectStoreError::InvalidPartOrder(_) => S3ErrorCode::InvalidPartOrder,
            ObjectStoreError::EntityTooSmall { .. } => S3ErrorCode::EntityTooSmall,
            ObjectStoreError::BadDigest(_) => S3ErrorCode::BadDigest,
            ObjectStoreError::InvalidRequest(_) => S3ErrorCode::InvalidRequest,
        };
        let mut refused = S3Error::with_message(code, error.to_string());
        refused.set_source(Box::new(error));
        refused
    }
}
