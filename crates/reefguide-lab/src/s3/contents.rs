//! What the store holds, for those who look at it from within.

use super::blob;
use super::error::StoreError;
use super::store::{Store, key};

impl Store {
    /// The bytes of the object `key`; `None` if there is no such object.
    pub(crate) fn bytes(&self, bucket: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match self.get(bucket, key) {
            Ok(object) => Ok(Some(blob::read_whole(&object.segments)?)),
            Err(StoreError::NoSuchKey(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The keys of the multipart uploads that were begun and neither completed nor aborted.
    pub(crate) fn open_uploads(&self) -> Result<Vec<String>, StoreError> {
        let index = self.index();
        let mut query = index.prepare("SELECT key FROM uploads ORDER BY key, id")?;
        let keys = query.query_map([], |row| key(row, 0))?;
        Ok(keys.collect::<Result<_, _>>()?)
    }
}
