//! The index of objects, and of the blobs with their bytes.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use s3s::dto::Timestamp;
use serde::{Deserialize, Serialize};

use super::blob::{Blobs, Segment};
use super::checksum::Checksum;
use super::conditions::WriteCondition;
use super::error::ObjectStoreError;
use super::listing::{ListPage, ListQuery};

/// Keys are BLOBs, so that SQLite orders them by their bytes, as S3 does.
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

/// The objects of the lab's S3 server. Their index is in `objects.sqlite`, their bytes are in `blobs/`.
pub(crate) struct ObjectStore {
    index: Mutex<Connection>,
    pub(super) blobs: Arc<Blobs>,
}

/// A stored object.
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

/// The headers that a client sets on an object, which are returned with it.
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
pub(crate) struct ListedObject {
    pub(crate) key: String,
    pub(super) etag: String,
    /// In bytes.
    pub(crate) size: u64,
    pub(super) modified: i64,
}

impl ObjectStore {
    /// Opens the store in `folder`. The folder and the index are created if they do not exist. Files that no object or
    /// part references, which a killed process may leave, are removed.
    ///
    /// # Errors
    /// [`ObjectStoreError::Folder`] or [`ObjectStoreError::Index`] if the folder cannot be used.
    pub(crate) fn open(folder: &Path) -> Result<Arc<Self>, ObjectStoreError> {
        let at_folder = |source| ObjectStoreError::Folder {
            folder: folder.to_owned(),
            source,
        };
        let blobs = Blobs::open(folder.join("blobs")).map_err(at_folder)?;
        let index = Connection::open(folder.join("objects.sqlite"))?;
        index.execute_batch(SCHEMA)?;
        let referenced = referenced_blobs(&index)?;
        blobs
            .remove_unreferenced(|id| referenced.contains(id))
            .map_err(at_folder)?;
        Ok(Arc::new(Self {
            index: Mutex::new(index),
            blobs,
        }))
    }

    /// Stores an object, and replaces the one that has the key. A reader sees either the old or the new one.
    pub(super) fn put(
        &self,
        bucket: &str,
        key: &str,
        object: &Object,
        condition: &WriteCondition,
    ) -> Result<(), ObjectStoreError> {
        let mut index = self.index();
        let transaction = index.transaction()?;
        let replaced = self.replace(&transaction, bucket, key, object, condition)?;
        transaction.commit()?;
        set_referenced(&object.segments, true);
        set_referenced(&replaced, false);
        // Remove files without holding the lock.
        drop(index);
        drop(replaced);
        Ok(())
    }

    /// Writes an object's row in a transaction, and returns the blobs of the object that it replaces.
    pub(super) fn replace(
        &self,
        transaction: &Transaction<'_>,
        bucket: &str,
        key: &str,
        object: &Object,
        condition: &WriteCondition,
    ) -> Result<Vec<Segment>, ObjectStoreError> {
        require_bucket(transaction, bucket)?;
        let old = self.find(transaction, bucket, key)?;
        condition.check(key, old.as_ref().map(|old| old.etag.as_str()))?;
        let blobs: Vec<(&str, u64)> = object
            .segments
            .iter()
            .map(|segment| (segment.blob.id(), segment.size))
            .collect();
        transaction.execute(
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

    /// The object `key`. Its bytes stay readable for as long as the returned value exists.
    pub(super) fn get(&self, bucket: &str, key: &str) -> Result<Object, ObjectStoreError> {
        let index = self.index();
        require_bucket(&index, bucket)?;
        self.find(&index, bucket, key)?
            .ok_or_else(|| ObjectStoreError::NoSuchKey(key.to_owned()))
    }

    /// Deletes the object `key`. Deleting one that does not exist succeeds.
    pub(super) fn delete(
        &self,
        bucket: &str,
        key: &str,
        condition: &WriteCondition,
    ) -> Result<(), ObjectStoreError> {
        let mut index = self.index();
        let transaction = index.transaction()?;
        require_bucket(&transaction, bucket)?;
        let old = self.find(&transaction, bucket, key)?;
        condition.check(key, old.as_ref().map(|old| old.etag.as_str()))?;
        transaction.execute(
            "DELETE FROM objects WHERE bucket = ?1 AND key = ?2",
            params![bucket, key.as_bytes()],
        )?;
        transaction.commit()?;
        set_referenced(old.iter().flat_map(|old| &old.segments), false);
        drop(index);
        drop(old);
        Ok(())
    }

    /// One page of the objects of `bucket`.
    pub(super) fn list(
        &self,
        bucket: &str,
        query: &ListQuery<'_>,
    ) -> Result<ListPage<ListedObject>, ObjectStoreError> {
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
    ) -> Result<Option<Object>, ObjectStoreError> {
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
                    blob: self.blobs.get(&id),
                    size,
                })
                .collect(),
        }))
    }
}

/// Records whether the index references these blobs.
pub(super) fn set_referenced<'a>(
    segments: impl IntoIterator<Item = &'a Segment>,
    referenced: bool,
) {
    for segment in segments {
        segment.blob.set_referenced(referenced);
    }
}

/// Reads a row of key, entity tag, size and time.
pub(super) fn listed(row: &Row<'_>) -> rusqlite::Result<ListedObject> {
    Ok(ListedObject {
        key: key(row, 0)?,
        etag: row.get(1)?,
        size: row.get::<_, i64>(2)?.cast_unsigned(),
        modified: row.get(3)?,
    })
}

/// Reads the key in a column.
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
pub(super) fn require_bucket(index: &Connection, name: &str) -> Result<(), ObjectStoreError> {
    let exists = index
        .prepare_cached("SELECT 1 FROM buckets WHERE name = ?1")?
        .exists([name])?;
    if exists {
        Ok(())
    } else {
        Err(ObjectStoreError::NoSuchBucket(name.to_owned()))
    }
}

/// The ids of all blobs that an object or a part references.
fn referenced_blobs(index: &Connection) -> Result<HashSet<String>, ObjectStoreError> {
    let mut referenced = HashSet::new();
    let mut query = index.prepare("SELECT blobs FROM objects")?;
    for blobs in query.query_map([], |row| row.get::<_, String>(0))? {
        let blobs: Vec<(String, u64)> = serde_json::from_str(&blobs?)?;
        referenced.extend(blobs.into_iter().map(|(id, _)| id));
    }
    let mut query = index.prepare("SELECT blob FROM parts")?;
    for blob in query.query_map([], |row| row.get(0))? {
        referenced.insert(blob?);
    }
    Ok(referenced)
}
