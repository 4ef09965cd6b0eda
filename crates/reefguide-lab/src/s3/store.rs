//! The index: which buckets and objects exist, and which blobs hold their bytes.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use s3s::dto::{ETagCondition, Timestamp};
use s3s::path::check_bucket_name;
use serde::{Deserialize, Serialize};

use super::blob::{Blobs, Segment};
use super::checksum::Checksum;
use super::error::StoreError;
use super::listing::{Page, Query};

/// Keys are BLOBs: S3 orders them by their bytes, and so does SQLite then.
const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    PRAGMA foreign_keys = ON;
    CREATE TABLE IF NOT EXISTS buckets (
        name TEXT PRIMARY KEY,
        created INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS objects (
        bucket TEXT NOT NULL REFERENCES buckets (name),
        key BLOB NOT NULL,
        etag TEXT NOT NULL,
        size INTEGER NOT NULL,
        modified INTEGER NOT NULL,
        headers TEXT NOT NULL,
        checksum TEXT NOT NULL,
        blobs TEXT NOT NULL,
        PRIMARY KEY (bucket, key)
    );
    CREATE TABLE IF NOT EXISTS uploads (
        id TEXT PRIMARY KEY,
        bucket TEXT NOT NULL REFERENCES buckets (name),
        key BLOB NOT NULL,
        started INTEGER NOT NULL,
        headers TEXT NOT NULL,
        checksum TEXT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS uploads_by_key ON uploads (bucket, key, id);
    CREATE TABLE IF NOT EXISTS parts (
        upload TEXT NOT NULL REFERENCES uploads (id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        md5 BLOB NOT NULL,
        size INTEGER NOT NULL,
        modified INTEGER NOT NULL,
        checksum TEXT NOT NULL,
        blob TEXT NOT NULL,
        PRIMARY KEY (upload, number)
    );
";

/// The objects of the lab's S3 server: an index in `objects.sqlite`, their bytes in `blobs/`.
pub(crate) struct Store {
    index: Mutex<Connection>,
    pub(super) blobs: Arc<Blobs>,
}

/// An object as it is kept.
pub(super) struct Object {
    /// Without quotes.
    pub(super) etag: String,
    /// In bytes.
    pub(super) size: u64,
    /// Milliseconds since 1970.
    pub(super) modified: i64,
    pub(super) headers: Headers,
    pub(super) checksum: Option<Checksum>,
    pub(super) segments: Vec<Segment>,
}

/// What a client says about an object, given back with it.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Headers {
    pub(super) cache_control: Option<String>,
    pub(super) content_disposition: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) content_language: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) expires: Option<Timestamp>,
    pub(super) metadata: Option<s3s::dto::Metadata>,
}

/// An object in a listing.
pub(crate) struct Listed {
    pub(crate) key: String,
    pub(super) etag: String,
    /// In bytes.
    pub(crate) size: u64,
    pub(super) modified: i64,
}

/// A bucket in a listing.
pub(super) struct Bucket {
    pub(super) name: String,
    pub(super) created: i64,
}

/// What must hold for a write or a deletion to happen.
#[derive(Default)]
pub(super) struct Condition {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
}

impl Condition {
    fn check(&self, key: &str, etag: Option<&str>) -> Result<(), StoreError> {
        if let Some(wanted) = &self.if_match {
            let etag = etag.ok_or_else(|| StoreError::NoSuchKey(key.to_owned()))?;
            if !matches(wanted, etag) {
                return Err(StoreError::PreconditionFailed("If-Match"));
            }
        }
        match (&self.if_none_match, etag) {
            (Some(unwanted), Some(etag)) if matches(unwanted, etag) => {
                Err(StoreError::PreconditionFailed("If-None-Match"))
            }
            _ => Ok(()),
        }
    }
}

/// Whether an entity tag meets a condition.
pub(super) fn matches(condition: &ETagCondition, etag: &str) -> bool {
    condition
        .as_etag()
        .is_none_or(|wanted| wanted.value() == etag)
}

/// Milliseconds since 1970.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

impl Store {
    /// Opens the store in `folder`, making folder and index if need be. Files that no object or
    /// part names, as a killed process leaves them, are removed.
    ///
    /// # Errors
    /// [`StoreError::Folder`] or [`StoreError::Index`] if the folder cannot be used.
    pub(crate) fn open(folder: &Path) -> Result<Arc<Self>, StoreError> {
        let at_folder = |source| StoreError::Folder {
            folder: folder.to_owned(),
            source,
        };
        let blobs = Blobs::open(folder.join("blobs")).map_err(at_folder)?;
        let index = Connection::open(folder.join("objects.sqlite"))?;
        index.execute_batch(SCHEMA)?;
        let named = named_blobs(&index)?;
        blobs.sweep(|id| named.contains(id)).map_err(at_folder)?;
        Ok(Arc::new(Self {
            index: Mutex::new(index),
            blobs,
        }))
    }

    /// Makes the bucket `name` if it is not there yet.
    ///
    /// # Errors
    /// [`StoreError::BucketName`] for a name S3 does not allow.
    pub(crate) fn create_bucket(&self, name: &str) -> Result<(), StoreError> {
        self.add_bucket(name).map(drop)
    }

    /// The first `limit` keys of `bucket` that begin with `prefix`, in the order of their bytes.
    ///
    /// # Errors
    /// [`StoreError::NoSuchBucket`] if the bucket does not exist.
    pub(crate) fn list_keys(
        &self,
        bucket: &str,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        let objects = self.objects(bucket, prefix, limit)?;
        Ok(objects.into_iter().map(|listed| listed.key).collect())
    }

    /// Makes the bucket `name`; false if it was there.
    pub(super) fn add_bucket(&self, name: &str) -> Result<bool, StoreError> {
        if !check_bucket_name(name) {
            return Err(StoreError::BucketName(name.to_owned()));
        }
        let added = self.index().execute(
            "INSERT OR IGNORE INTO buckets (name, created) VALUES (?1, ?2)",
            params![name, now()],
        )?;
        Ok(added == 1)
    }

    pub(super) fn delete_bucket(&self, name: &str) -> Result<(), StoreError> {
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
            return Err(StoreError::BucketNotEmpty(name.to_owned()));
        }
        change.execute("DELETE FROM buckets WHERE name = ?1", [name])?;
        Ok(change.commit()?)
    }

    pub(super) fn require_bucket(&self, name: &str) -> Result<(), StoreError> {
        require_bucket(&self.index(), name)
    }

    pub(super) fn buckets(&self) -> Result<Vec<Bucket>, StoreError> {
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

    /// Stores an object in place of the one that has the key. A reader sees the old one or the new.
    pub(super) fn put(
        &self,
        bucket: &str,
        key: &str,
        object: &Object,
        condition: &Condition,
    ) -> Result<(), StoreError> {
        let mut index = self.index();
        let change = index.transaction()?;
        let replaced = self.replace(&change, bucket, key, object, condition)?;
        change.commit()?;
        name(&object.segments, true);
        name(&replaced, false);
        // Files are removed off the lock.
        drop(index);
        drop(replaced);
        Ok(())
    }

    /// Writes an object's row within a change, and gives the blobs of the one it replaces.
    pub(super) fn replace(
        &self,
        change: &Transaction<'_>,
        bucket: &str,
        key: &str,
        object: &Object,
        condition: &Condition,
    ) -> Result<Vec<Segment>, StoreError> {
        require_bucket(change, bucket)?;
        let old = self.find(change, bucket, key)?;
        condition.check(key, old.as_ref().map(|old| old.etag.as_str()))?;
        let blobs: Vec<(&str, u64)> = object
            .segments
            .iter()
            .map(|segment| (segment.blob.id(), segment.size))
            .collect();
        change.execute(
            "INSERT OR REPLACE INTO objects
                 (bucket, key, etag, size, modified, headers, checksum, blobs)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                bucket,
                key.as_bytes(),
                object.etag,
                object.size.cast_signed(),
                object.modified,
                serde_json::to_string(&object.headers)?,
                serde_json::to_string(&object.checksum)?,
                serde_json::to_string(&blobs)?,
            ],
        )?;
        Ok(old.map(|old| old.segments).unwrap_or_default())
    }

    /// The object `key`. Its bytes stay readable while the answer is alive.
    pub(super) fn get(&self, bucket: &str, key: &str) -> Result<Object, StoreError> {
        let index = self.index();
        require_bucket(&index, bucket)?;
        self.find(&index, bucket, key)?
            .ok_or_else(|| StoreError::NoSuchKey(key.to_owned()))
    }

    /// Deletes the object `key`; one that does not exist is deleted already.
    pub(super) fn delete(
        &self,
        bucket: &str,
        key: &str,
        condition: &Condition,
    ) -> Result<(), StoreError> {
        let mut index = self.index();
        let change = index.transaction()?;
        require_bucket(&change, bucket)?;
        let old = self.find(&change, bucket, key)?;
        condition.check(key, old.as_ref().map(|old| old.etag.as_str()))?;
        change.execute(
            "DELETE FROM objects WHERE bucket = ?1 AND key = ?2",
            params![bucket, key.as_bytes()],
        )?;
        change.commit()?;
        name(old.iter().flat_map(|old| &old.segments), false);
        drop(index);
        drop(old);
        Ok(())
    }

    /// One page of the objects of `bucket`.
    pub(super) fn list(&self, bucket: &str, query: &Query<'_>) -> Result<Page<Listed>, StoreError> {
        let index = self.index();
        require_bucket(&index, bucket)?;
        let mut rows = index.prepare_cached(
            "SELECT key, etag, size, modified FROM objects
             WHERE bucket = ?1 AND key >= ?2 AND key > ?3 ORDER BY key",
        )?;
        let rows = rows.query_map(
            params![bucket, query.prefix.as_bytes(), query.after.as_bytes()],
            listed,
        )?;
        Ok(query.page(rows, |listed| &listed.key)?)
    }

    pub(super) fn index(&self) -> MutexGuard<'_, Connection> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(
        &self,
        index: &Connection,
        bucket: &str,
        key: &str,
    ) -> Result<Option<Object>, StoreError> {
        let found = index
            .prepare_cached(
                "SELECT etag, size, modified, headers, checksum, blobs FROM objects
                 WHERE bucket = ?1 AND key = ?2",
            )?
            .query_row(params![bucket, key.as_bytes()], |row| {
                let json: [String; 3] = [row.get(3)?, row.get(4)?, row.get(5)?];
                let size: i64 = row.get(1)?;
                Ok((row.get(0)?, size.cast_unsigned(), row.get(2)?, json))
            })
            .optional()?;
        let Some((etag, size, modified, [headers, checksum, blobs])) = found else {
            return Ok(None);
        };
        let blobs: Vec<(String, u64)> = serde_json::from_str(&blobs)?;
        Ok(Some(Object {
            etag,
            size,
            modified,
            headers: serde_json::from_str(&headers)?,
            checksum: serde_json::from_str(&checksum)?,
            segments: blobs
                .into_iter()
                .map(|(id, size)| Segment {
                    blob: self.blobs.named(&id),
                    size,
                })
                .collect(),
        }))
    }
}

/// Notes that the index names these blobs, or no longer does.
pub(super) fn name<'a>(segments: impl IntoIterator<Item = &'a Segment>, named: bool) {
    for segment in segments {
        segment.blob.set_named(named);
    }
}

/// A row of key, entity tag, size and time.
pub(super) fn listed(row: &Row<'_>) -> rusqlite::Result<Listed> {
    Ok(Listed {
        key: key(row, 0)?,
        etag: row.get(1)?,
        size: row.get::<_, i64>(2)?.cast_unsigned(),
        modified: row.get(3)?,
    })
}

/// The key in a column.
pub(super) fn key(row: &Row<'_>, column: usize) -> rusqlite::Result<String> {
    let bytes: Vec<u8> = row.get(column)?;
    String::from_utf8(bytes).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(
            column,
            rusqlite::types::Type::Blob,
            Box::new(error),
        )
    })
}

/// Fails unless the bucket exists.
pub(super) fn require_bucket(index: &Connection, name: &str) -> Result<(), StoreError> {
    let exists = index
        .prepare_cached("SELECT 1 FROM buckets WHERE name = ?1")?
        .exists([name])?;
    if exists {
        Ok(())
    } else {
        Err(StoreError::NoSuchBucket(name.to_owned()))
    }
}

/// The ids of all blobs that an object or a part names.
fn named_blobs(index: &Connection) -> Result<HashSet<String>, StoreError> {
    let mut named = HashSet::new();
    let mut query = index.prepare("SELECT blobs FROM objects")?;
    for blobs in query.query_map([], |row| row.get::<_, String>(0))? {
        let blobs: Vec<(String, u64)> = serde_json::from_str(&blobs?)?;
        named.extend(blobs.into_iter().map(|(id, _)| id));
    }
    let mut query = index.prepare("SELECT blob FROM parts")?;
    for blob in query.query_map([], |row| row.get(0))? {
        named.insert(blob?);
    }
    Ok(named)
}
