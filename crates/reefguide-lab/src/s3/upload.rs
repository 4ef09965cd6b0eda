//! The index of multipart uploads and their parts.

use rusqlite::{Connection, OptionalExtension, Row, params};
use s3s::crypto::{Checksum as _, Md5};
use uuid::Uuid;

use super::blob::Segment;
use super::checksum::{Algorithm, Checksum};
use super::conditions::WriteCondition;
use super::error::ObjectStoreError;
use super::listing::{ListPage, ListQuery};
use super::receive::ReceivedBody;
use super::store::{Headers, Object, ObjectStore, key, require_bucket, set_referenced};
use super::time::now;
use crate::hex::hex;

/// The minimum size of every part but the last.
const MINIMUM_PART_BYTES: u64 = 5 * 1024 * 1024;

/// A multipart upload that is neither completed nor aborted.
pub(super) struct Upload {
    pub(super) id: String,
    pub(super) key: String,
    /// Milliseconds since 1970.
    pub(super) started: i64,
    pub(super) headers: Headers,
    /// The requested algorithm, and whether its checksum is composite.
    pub(super) checksum: Option<(Algorithm, bool)>,
}

/// A part of an upload.
pub(super) struct Part {
    pub(super) number: i32,
    pub(super) md5: [u8; 16],
    /// Milliseconds since 1970.
    pub(super) modified: i64,
    pub(super) checksum: Option<Checksum>,
    pub(super) segment: Segment,
}

impl Part {
    /// A part that was just received.
    pub(super) fn new(number: i32, received: ReceivedBody) -> Self {
        Self {
            number,
            md5: received.md5,
            modified: now(),
            checksum: received.checksum,
            segment: received.segment,
        }
    }
}

/// The completed object as the client describes it.
pub(super) struct Completion {
    pub(super) parts: Vec<CompletedPart>,
    /// The checksum of the whole object.
    pub(super) checksum: Option<(Algorithm, String)>,
    /// The object's size in bytes.
    pub(super) size: Option<u64>,
    pub(super) condition: WriteCondition,
}

/// A part as the client describes it on completion.
pub(super) struct CompletedPart {
    pub(super) number: i32,
    pub(super) etag: Option<String>,
    pub(super) checksum: Option<(Algorithm, String)>,
}

impl ObjectStore {
    /// Creates an upload and returns its id.
    pub(super) fn create_upload(
        &self,
        bucket: &str,
        key: &str,
        headers: &Headers,
        checksum: Option<(Algorithm, bool)>,
    ) -> Result<String, ObjectStoreError> {
        let index = self.index();
        require_bucket(&index, bucket)?;
        let id = Uuid::new_v4().simple().to_string();
        index.execute(
            "INSERT INTO uploads (id, bucket, key, started, headers, checksum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                id,
                bucket,
                key.as_bytes(),
                now(),
                serde_json::to_string(headers)?,
                serde_json::to_string(&checksum)?
            ],
        )?;
        Ok(id)
    }

    /// The upload `id`, if it is to this key.
    pub(super) fn upload(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
    ) -> Result<Upload, ObjectStoreError> {
        find(&self.index(), bucket, key, id)
    }

    /// Stores a part, and replaces the one that has its number.
    pub(super) fn put_part(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        part: &Part,
    ) -> Result<(), ObjectStoreError> {
        let mut index = self.index();
        let transaction = index.transaction()?;
        find(&transaction, bucket, key, id)?;
        let replaced = self.parts_in(&transaction, id, part.number - 1, 1)?;
        let replaced = replaced.into_iter().find(|old| old.number == part.number);
        transaction.execute(
            "INSERT OR REPLACE INTO parts (upload, number, md5, size, modified, checksum, blob)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                id,
                part.number,
                part.md5,
                part.segment.size.cast_signed(),
                part.modified,
                serde_json::to_string(&part.checksum)?,
                part.segment.blob.id(),
            ],
        )?;
        transaction.commit()?;
        set_referenced([&part.segment], true);
        set_referenced(replaced.iter().map(|old| &old.segment), false);
        // Remove files without holding the lock.
        drop(index);
        drop(replaced);
        Ok(())
    }

    /// At most `limit` parts of an upload, starting after the number `after`.
    pub(super) fn parts(
        &self,
        id: &str,
        after: i32,
        limit: usize,
    ) -> Result<Vec<Part>, ObjectStoreError> {
        self.parts_in(&self.index(), id, after, limit)
    }

    /// Creates an object from the parts that the client lists, and removes the upload.
    pub(super) fn complete(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        completion: &Completion,
    ) -> Result<Object, ObjectStoreError> {
        let mut index = self.index();
        let transaction = index.transaction()?;
        let upload = find(&transaction, bucket, key, id)?;
        let parts = self.parts_in(&transaction, id, 0, usize::MAX)?;
        let object = assemble(upload, &parts, completion)?;
        let replaced = self.replace(&transaction, bucket, key, &object, &completion.condition)?;
        transaction.execute("DELETE FROM uploads WHERE id = ?1", [id])?;
        transaction.commit()?;
        set_referenced(parts.iter().map(|part| &part.segment), false);
        set_referenced(&replaced, false);
        set_referenced(&object.segments, true);
        drop(index);
        drop((parts, replaced));
        Ok(object)
    }

    /// Removes an upload and its parts.
    pub(super) fn abort(&self, bucket: &str, key: &str, id: &str) -> Result<(), ObjectStoreError> {
        let mut index = self.index();
        let transaction = index.transaction()?;
        find(&transaction, bucket, key, id)?;
        let parts = self.parts_in(&transaction, id, 0, usize::MAX)?;
        transaction.execute("DELETE FROM uploads WHERE id = ?1", [id])?;
        transaction.commit()?;
        set_referenced(parts.iter().map(|part| &part.segment), false);
        drop(index);
        drop(parts);
        Ok(())
    }

    /// One page of the uploads to `bucket`. `after_id` continues within the uploads to the key `query.after`.
    pub(super) fn uploads(
        &self,
        bucket: &str,
        query: &ListQuery<'_>,
        after_id: Option<&str>,
    ) -> Result<ListPage<Upload>, ObjectStoreError> {
        let index = self.index();
        require_bucket(&index, bucket)?;
        let mut rows = index.prepare_cached(&format!(
            "SELECT {} FROM uploads
             WHERE bucket = ?1 AND key >= ?2 AND (key > ?3 OR key = ?3 AND id > ?4)
             ORDER BY key, id",
            UploadRow::COLUMNS
        ))?;
        let rows = rows
            .query_map(
                params![
                    bucket,
                    query.prefix.as_bytes(),
                    query.after.as_bytes(),
                    after_id
                ],
                UploadRow::read,
            )?
            .map(|row| row?.try_into());
        query.page(rows, |upload: &Upload| &upload.key)
    }

    fn parts_in(
        &self,
        index: &Connection,
        id: &str,
        after: i32,
        limit: usize,
    ) -> Result<Vec<Part>, ObjectStoreError> {
        let mut query = index.prepare_cached(
            "SELECT number, md5, size, modified, checksum, blob FROM parts
             WHERE upload = ?1 AND number > ?2 ORDER BY number LIMIT ?3",
        )?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = query.query(params![id, after, limit])?;
        let mut parts = Vec::new();
        while let Some(row) = rows.next()? {
            parts.push(Part {
                number: row.get(0)?,
                md5: row.get(1)?,
                modified: row.get(3)?,
                checksum: serde_json::from_str(&row.get::<_, String>(4)?)?,
                segment: Segment {
                    blob: self.blobs.get(&row.get::<_, String>(5)?),
                    size: row.get::<_, i64>(2)?.cast_unsigned(),
                },
            });
        }
        Ok(parts)
    }
}

/// An upload's row before its JSON is parsed.
struct UploadRow {
    id: String,
    key: String,
    started: i64,
    headers: String,
    checksum: String,
}

impl UploadRow {
    const COLUMNS: &str = "id, key, started, headers, checksum";

    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            key: key(row, 1)?,
            started: row.get(2)?,
            headers: row.get(3)?,
            checksum: row.get(4)?,
        })
    }
}

impl TryFrom<UploadRow> for Upload {
    type Error = ObjectStoreError;

    fn try_from(row: UploadRow) -> Result<Self, ObjectStoreError> {
        Ok(Self {
            id: row.id,
            key: row.key,
            started: row.started,
            headers: serde_json::from_str(&row.headers)?,
            checksum: serde_json::from_str(&row.checksum)?,
        })
    }
}

fn find(index: &Connection, bucket: &str, key: &str, id: &str) -> Result<Upload, ObjectStoreError> {
    require_bucket(index, bucket)?;
    index
        .prepare_cached(&format!(
            "SELECT {} FROM uploads WHERE id = ?1 AND bucket = ?2 AND key = ?3",
            UploadRow::COLUMNS
        ))?
        .query_row(params![id, bucket, key.as_bytes()], UploadRow::read)
        .optional()?
        .ok_or_else(|| ObjectStoreError::NoSuchUpload(id.to_owned()))?
        .try_into()
}

/// Checks a completion against the parts and creates the object.
fn assemble(
    upload: Upload,
    parts: &[Part],
    completion: &Completion,
) -> Result<Object, ObjectStoreError> {
    let mut chosen: Vec<&Part> = Vec::with_capacity(completion.parts.len());
    for listed in &completion.parts {
        let number = listed.number;
        if chosen.last().is_some_and(|last| last.number >= number) {
            return Err(ObjectStoreError::InvalidPartOrder(number));
        }
        let part = parts
            .binary_search_by_key(&number, |part| part.number)
            .ok()
            .and_then(|at| parts.get(at))
            .filter(|part| {
                listed
                    .etag
                    .as_ref()
                    .is_none_or(|etag| *etag == hex(&part.md5))
            })
            .filter(|part| match (&listed.checksum, &part.checksum) {
                (Some((algorithm, value)), Some(checksum)) => {
                    checksum.algorithm == *algorithm && checksum.value == *value
                }
                (Some(_), None) => false,
                (None, _) => true,
            })
            .ok_or(ObjectStoreError::InvalidPart(number))?;
        chosen.push(part);
    }
    let all_but_last = chosen.split_last().map_or(&[][..], |(_, rest)| rest);
    if let Some(small) = all_but_last
        .iter()
        .find(|part| part.segment.size < MINIMUM_PART_BYTES)
    {
        return Err(ObjectStoreError::EntityTooSmall {
            number: small.number,
            size: small.segment.size,
            minimum: MINIMUM_PART_BYTES,
        });
    }
    let size = chosen.iter().map(|part| part.segment.size).sum();
    if completion.size.is_some_and(|claimed| claimed != size) {
        return Err(ObjectStoreError::InvalidRequest(format!(
            "the parts have {size} bytes, but x-amz-mp-object-size differs"
        )));
    }
    let checksum = whole_checksum(&upload, &chosen)?;
    if let Some((algorithm, value)) = &completion.checksum {
        let checksum = checksum
            .as_ref()
            .filter(|checksum| checksum.algorithm == *algorithm)
            .ok_or_else(|| {
                ObjectStoreError::InvalidRequest(format!(
                    "the upload was not created with the checksum algorithm {}",
                    algorithm.name()
                ))
            })?;
        if checksum.value != *value {
            return Err(ObjectStoreError::BadDigest(algorithm.header()));
        }
    }
    Ok(Object {
        etag: whole_etag(&chosen),
        size,
        modified: now(),
        headers: upload.headers,
        checksum,
        segments: chosen.iter().map(|part| part.segment.clone()).collect(),
    })
}

/// The MD5 of the parts' MD5s, with the number of parts.
fn whole_etag(parts: &[&Part]) -> String {
    let mut md5 = Md5::new();
    for part in parts {
        md5.update(&part.md5);
    }
    format!("{}-{}", hex(&md5.finalize()), parts.len())
}

fn whole_checksum(upload: &Upload, parts: &[&Part]) -> Result<Option<Checksum>, ObjectStoreError> {
    let Some((algorithm, composite)) = upload.checksum else {
        return Ok(None);
    };
    let sums: Vec<(String, u64)> = parts
        .iter()
        .filter_map(|part| Some((part.checksum.as_ref()?.value.clone(), part.segment.size)))
        .collect();
    let checksum = algorithm.combine(&sums, composite);
    checksum.map(Some).ok_or_else(|| {
        ObjectStoreError::InvalidRequest(format!("a part has no {} checksum", algorithm.name()))
    })
}
