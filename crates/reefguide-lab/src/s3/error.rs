//! What can go wrong with stored objects, and how S3 names it.

use std::io;
use std::path::PathBuf;

use s3s::{S3Error, S3ErrorCode};

/// Why the store refused or failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
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
    #[error("bucket {0:?} still holds objects or uploads: delete them first")]
    BucketNotEmpty(String),
    #[error("key {0:?} does not exist")]
    NoSuchKey(String),
    #[error("multipart upload {0:?} does not exist: it may have been completed or aborted")]
    NoSuchUpload(String),
    #[error("the condition in {0} does not hold")]
    PreconditionFailed(&'static str),
    #[error("part {0} was not uploaded, or its entity tag or checksum differs")]
    InvalidPart(i32),
    #[error("part {0} is listed out of order: part numbers must ascend")]
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

impl From<StoreError> for S3Error {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Folder { .. }
            | StoreError::Index(_)
            | StoreError::Entry(_)
            | StoreError::Bytes(_) => S3ErrorCode::InternalError,
            StoreError::BucketName(_) => S3ErrorCode::InvalidBucketName,
            StoreError::NoSuchBucket(_) => S3ErrorCode::NoSuchBucket,
            StoreError::BucketNotEmpty(_) => S3ErrorCode::BucketNotEmpty,
            StoreError::NoSuchKey(_) => S3ErrorCode::NoSuchKey,
            StoreError::NoSuchUpload(_) => S3ErrorCode::NoSuchUpload,
            StoreError::PreconditionFailed(_) => S3ErrorCode::PreconditionFailed,
            StoreError::InvalidPart(_) => S3ErrorCode::InvalidPart,
            StoreError::InvalidPartOrder(_) => S3ErrorCode::InvalidPartOrder,
            StoreError::EntityTooSmall { .. } => S3ErrorCode::EntityTooSmall,
            StoreError::BadDigest(_) => S3ErrorCode::BadDigest,
            StoreError::InvalidRequest(_) => S3ErrorCode::InvalidRequest,
        };
        let mut refused = S3Error::with_message(code, error.to_string());
        refused.set_source(Box::new(error));
        refused
    }
}
