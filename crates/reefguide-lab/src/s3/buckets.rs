//! The index of buckets.

use rusqlite::params;
use s3s::path::check_bucket_name;

use super::error::ObjectStoreError;
use super::store::{ObjectStore, require_bucket};
use super::time::now;

/// A bucket in a listing.
pub(super) struct Bucket {
    pub(super) name: String,
    pub(super) created: i64,
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
    pub(super) fn add_bucket(&self, name: &str) -> Result<bool, ObjectStoreError> {
        if !check_bucket_name(name) {
            return Err(ObjectStoreError::BucketName(name.to_owned()));
        }
        let added = self.index().execute(
            "INSERT OR IGNORE INTO buckets (name, created) VALUES (?1, ?2)",
            params![name, now()],
        )?;
        Ok(added == 1)
    }

    pub(super) fn delete_bucket(&self, name: &str) -> Result<(), ObjectStoreError> {
        let mut index = self.index();
        let change = index.transaction()?;
        require_bucket(&change, name)?;
        let in_use: bool = change.query_row(
            "SELECT EXISTS (SELECT 1 FROM objects WHERE bucket = ?1)
                 OR EXISTS (SELECT 1 FROM uploads WHERE bucket = ?1)",
            [name],
            |row| row.get(0),
        )?;
        if in_use {
            return Err(ObjectStoreError::BucketNotEmpty(name.to_owned()));
        }
        change.execute("DELETE FROM buckets WHERE name = ?1", [name])?;
        Ok(change.commit()?)
    }

    pub(super) fn require_bucket(&self, name: &str) -> Result<(), ObjectStoreError> {
        require_bucket(&self.index(), name)
    }

    pub(super) fn buckets(&self) -> Result<Vec<Bucket>, ObjectStoreError> {
        let index = self.index();
        let mut query = index.prepare("SELECT name, created FROM buckets ORDER BY name")?;
        let buckets = query.query_map([], |row| {
            Ok(Bucket {
                name: row.get(0)?,
                created: row.get(1)?,
            })
        })?;
        Ok(buckets.collect::<Result<_, _>>()?)
    }
}
