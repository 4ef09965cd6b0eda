//! Buckets: their index, and the operations on them.

use rusqlite::params;
use s3s::dto::*;
use s3s::path::check_bucket_name;
use s3s::{S3Response, S3Result, s3_error};

use super::error::ObjectStoreError;
use super::store::{ObjectStore, require_bucket};
use super::time::{now, timestamp};

pub(super) fn create(
    store: &ObjectStore,
    input: CreateBucketInput,
) -> S3Result<S3Response<CreateBucketOutput>> {
    let bucket = input.bucket;
    if !store.add_bucket(&bucket)? {
        return Err(s3_error!(
            BucketAlreadyOwnedByYou,
            "bucket {bucket:?} exists"
        ));
    }
    Ok(S3Response::new(CreateBucketOutput {
        location: Some(format!("/{bucket}")),
    }))
}

pub(super) fn delete(
    store: &ObjectStore,
    input: &DeleteBucketInput,
) -> S3Result<S3Response<DeleteBucketOutput>> {
    store.delete_bucket(&input.bucket)?;
    Ok(S3Response::new(DeleteBucketOutput::default()))
}

pub(super) fn head(
    store: &ObjectStore,
    input: &HeadBucketInput,
) -> S3Result<S3Response<HeadBucketOutput>> {
    store.require_bucket(&input.bucket)?;
    Ok(S3Response::new(HeadBucketOutput::default()))
}

pub(super) fn location(
    store: &ObjectStore,
    input: &GetBucketLocationInput,
) -> S3Result<S3Response<GetBucketLocationOutput>> {
    store.require_bucket(&input.bucket)?;
    Ok(S3Response::new(GetBucketLocationOutput::default()))
}

pub(super) fn list(store: &ObjectStore) -> S3Result<S3Response<ListBucketsOutput>> {
    Ok(S3Response::new(ListBucketsOutput {
        buckets: Some(store.buckets()?),
        ..ListBucketsOutput::default()
    }))
}

impl ObjectStore {
    /// Creates the bucket `name` if it does not exist.
    ///
    /// # Errors
    /// [`ObjectStoreError::BucketName`] if S3 does not allow the name.
    pub(crate) fn create_bucket(&self, name: &str) -> Result<(), ObjectStoreError> {
        self.add_bucket(name).map(drop)
    }

    /// Creates the bucket `name`. Returns `false` if it exists.
    fn add_bucket(&self, name: &str) -> Result<bool, ObjectStoreError> {
        if !check_bucket_name(name) {
            return Err(ObjectStoreError::BucketName(name.to_owned()));
        }
        let added = self.index().execute(
            "INSERT OR IGNORE INTO buckets (name, created) VALUES (?1, ?2)",
            params![name, now()],
        )?;
        Ok(added == 1)
    }

    fn delete_bucket(&self, name: &str) -> Result<(), ObjectStoreError> {
        let mut index = self.index();
        let transaction = index.transaction()?;
        require_bucket(&transaction, name)?;
        let in_use: bool = transaction.query_row(
            "SELECT EXISTS (SELECT 1 FROM objects WHERE bucket = ?1)
                 OR EXISTS (SELECT 1 FROM uploads WHERE bucket = ?1)",
            [name],
            |row| row.get(0),
        )?;
        if in_use {
            return Err(ObjectStoreError::BucketNotEmpty(name.to_owned()));
        }
        transaction.execute("DELETE FROM buckets WHERE name = ?1", [name])?;
        Ok(transaction.commit()?)
    }

    pub(super) fn require_bucket(&self, name: &str) -> Result<(), ObjectStoreError> {
        require_bucket(&self.index(), name)
    }

    fn buckets(&self) -> Result<Vec<Bucket>, ObjectStoreError> {
        let index = self.index();
        let mut query = index.prepare("SELECT name, created FROM buckets ORDER BY name")?;
        let buckets = query.query_map([], |row| {
            Ok(Bucket {
                name: row.get(0)?,
                creation_date: Some(timestamp(row.get(1)?)),
                ..Bucket::default()
            })
        })?;
        Ok(buckets.collect::<Result<_, _>>()?)
    }
}
