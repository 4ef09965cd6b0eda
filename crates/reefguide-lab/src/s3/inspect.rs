//! Access to stored objects from within the lab, without the protocol.

use std::io;

use bytes::Bytes;
use futures_util::Stream;
use rusqlite::params;

use super::blob::{self, Segment};
use super::error::ObjectStoreError;
use super::listing::ListQuery;
use super::store::{ListedObject, ObjectStore, key, listed};

/// An object that can be read.
pub(crate) struct Contents {
    /// In bytes.
    pub(crate) size: u64,
    pub(crate) content_type: Option<String>,
    segments: Vec<Segment>,
}

impl Contents {
    pub(crate) fn bytes(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        blob::read(self.segments, 0..self.size)
    }
}

impl ObjectStore {
    /// The object `key`.
    ///
    /// # Errors
    /// [`ObjectStoreError::NoSuchKey`] if there is no such object.
    pub(crate) fn contents(&self, bucket: &str, key: &str) -> Result<Contents, ObjectStoreError> {
        let object = self.get(bucket, key)?;
        Ok(Contents {
            size: object.size,
            content_type: object.headers.content_type,
            segments: object.segments,
        })
    }

    /// The first `limit` objects of `bucket` whose keys begin with `prefix`.
    pub(crate) fn objects(
        &self,
        bucket: &str,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<ListedObject>, ObjectStoreError> {
        let query = ListQuery {
            prefix,
            limit,
            ..ListQuery::default()
        };
        Ok(self.list(bucket, &query)?.entries)
    }

    /// The first `limit` keys of `bucket` that begin with `prefix`, in byte order.
    ///
    /// # Errors
    /// [`ObjectStoreError::NoSuchBucket`] if the bucket does not exist.
    pub(crate) fn list_keys(
        &self,
        bucket: &str,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<String>, ObjectStoreError> {
        let objects = self.objects(bucket, prefix, limit)?;
        Ok(objects.into_iter().map(|listed| listed.key).collect())
    }

    /// The bytes of the object `key`, or `None` if there is no such object.
    pub(crate) fn bytes(
        &self,
        bucket: &str,
        key: &str,
    ) -> Result<Option<Vec<u8>>, ObjectStoreError> {
        match self.get(bucket, key) {
            Ok(object) => Ok(Some(blob::read_whole(&object.segments)?)),
            Err(ObjectStoreError::NoSuchKey(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The objects of `bucket` whose keys end with `suffix`.
    pub(crate) fn objects_ending(
        &self,
        bucket: &str,
        suffix: &str,
    ) -> Result<Vec<ListedObject>, ObjectStoreError> {
        let index = self.index();
        let mut query = index.prepare_cached(
            "SELECT key, etag, size, modified FROM objects
             WHERE bucket = ?1 AND substr(key, -length(?2)) = ?2 ORDER BY key",
        )?;
        let objects = query.query_map(params![bucket, suffix.as_bytes()], listed)?;
        Ok(objects.collect::<Result<_, _>>()?)
    }

    /// The keys of the multipart uploads that are neither completed nor aborted.
    pub(crate) fn open_uploads(&self) -> Result<Vec<String>, ObjectStoreError> {
        let index = self.index();
        let mut query = index.prepare("SELECT key FROM uploads ORDER BY key, id")?;
        let keys = query.query_map([], |row| key(row, 0))?;
        Ok(keys.collect::<Result<_, _>>()?)
    }
}
