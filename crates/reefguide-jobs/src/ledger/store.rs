//! The records in the bucket, and which of them belong to this process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reefguide_storage::{ObjectInfo, Storage, StorageError, StorageUri};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::record::ClaimRecord;

/// The largest record that is read. A result has 100 KiB at most, and escaping makes it longer.
const LARGEST: u64 = 4 << 20;

/// Why a record could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The storage took too long.
    #[error("record {uri}: the storage did not answer within {} s", .limit.as_secs_f64())]
    Slow {
        /// The record, or the folder of all records.
        uri: StorageUri,
        /// How long the storage had.
        limit: Duration,
    },
    /// An object among the records is not a record.
    #[error("{uri} is not the record of a claim; remove it, or keep records elsewhere")]
    Foreign {
        /// The object.
        uri: StorageUri,
        /// Why it cannot be read as a record.
        source: serde_json::Error,
    },
}

impl LedgerError {
    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Storage(error) => error.is_retryable(),
            Self::Slow { .. } => true,
            Self::Foreign { .. } => false,
        }
    }
}

/// The claims of a fleet: a folder with a record of each claim that is not resolved.
#[derive(Clone, Debug)]
pub struct Ledger {
    pub(super) storage: Storage,
    pub(super) folder: StorageUri,
    /// How long one call to the storage may take.
    limit: Duration,
    /// Part of the names of this process's records, of which there is one for each job.
    pub(super) process: Uuid,
    own: Arc<Mutex<HashMap<StorageUri, Own>>>,
}

/// The state of a record of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Own {
    /// The claim is being made, or its job is running.
    Held,
    /// Nothing has worked on the claim since then, and it is not resolved.
    Orphan(Instant),
    /// The claim is being resolved.
    Resolving,
}

impl Ledger {
    /// The ledger in `folder`. A call to the storage may take as long as `limit`.
    pub fn new(storage: &Storage, folder: StorageUri, limit: Duration) -> Self {
        Self {
            // Records exist for minutes, but the cheaper storage classes charge for a month.
            storage: storage.with_storage_class(None),
            folder,
            limit,
            process: Uuid::new_v4(),
            own: Arc::default(),
        }
    }

    /// The records of all workers.
    pub async fn list(&self) -> Result<Vec<ObjectInfo>, LedgerError> {
        self.limited(&self.folder, self.storage.list(&self.folder))
            .await
    }

    /// Reads a record; `None` if it is gone.
    pub async fn read(&self, uri: &StorageUri) -> Result<Option<ClaimRecord>, LedgerError> {
        let read = self.limited(uri, self.storage.read(uri, LARGEST));
        let bytes = match read.await {
            Err(LedgerError::Storage(StorageError::NoSuchObject { .. })) => return Ok(None),
            read => read?,
        };
        let foreign = |source| LedgerError::Foreign {
            uri: uri.clone(),
            source,
        };
        serde_json::from_slice(&bytes).map(Some).map_err(foreign)
    }

    /// Removes a record, because its claim is resolved.
    ///
    /// # Errors
    /// [`LedgerError::Storage`] and [`LedgerError::Slow`].
    pub async fn remove(&self, uri: &StorageUri) -> Result<(), LedgerError> {
        self.limited(uri, self.storage.delete(uri)).await?;
        self.own().remove(uri);
        Ok(())
    }

    /// Keeps this process from claiming an orphan's job until the orphan is [removed](Self::remove) or
    /// [released](Self::release). Returns since when it has been an orphan, `Some(None)` for a record of another process,
    /// and `None` if the record is in use.
    pub(super) fn hold(&self, uri: &StorageUri) -> Option<Option<Instant>> {
        match self.own().get_mut(uri) {
            None => Some(None),
            Some(own) => match *own {
                Own::Orphan(since) => {
                    *own = Own::Resolving;
                    Some(Some(since))
                }
                Own::Held | Own::Resolving => None,
            },
        }
    }

    /// Makes a record whose claim could not be resolved an orphan again.
    pub(super) fn release(&self, uri: &StorageUri, since: Instant) {
        if let Some(own) = self.own().get_mut(uri) {
            *own = Own::Orphan(since);
        }
    }

    /// Whether a record belongs to this process.
    pub(super) fn is_own(&self, uri: &StorageUri) -> bool {
        self.own().contains_key(uri)
    }

    /// The records that this process has left behind.
    pub fn orphans(&self) -> Vec<StorageUri> {
        let own = self.own();
        let orphans = own.iter().filter(|(_, own)| matches!(own, Own::Orphan(_)));
        orphans.map(|(uri, _)| uri.clone()).collect()
    }

    /// Reserves the place of a new record. If an orphan has it, returns since when; returns `None` if the record is in use.
    pub(super) fn reserve(&self, uri: &StorageUri) -> Option<Option<Instant>> {
        let mut own = self.own();
        let earlier = match own.get(uri) {
            None => None,
            Some(Own::Orphan(since)) => Some(*since),
            Some(Own::Held | Own::Resolving) => return None,
        };
        own.insert(uri.clone(), Own::Held);
        Some(earlier)
    }

    /// The records of this process, with their states.
    pub(super) fn own(&self) -> MutexGuard<'_, HashMap<StorageUri, Own>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Limits the time of a call to the storage.
    pub(super) async fn limited<T>(
        &self,
        uri: &StorageUri,
        call: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, LedgerError> {
        let slow = |_| LedgerError::Slow {
            uri: uri.clone(),
            limit: self.limit,
        };
        Ok(timeout(self.limit, call).await.map_err(slow)??)
    }
}
