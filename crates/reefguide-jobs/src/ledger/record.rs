//! Records of claims: what is left of a claim when the worker that holds it dies.
//!
//! A record is written before a job is claimed and removed when the claim is lost or its outcome is
//! recorded by the source; a claim whose record is there is not settled. Its worker renews it, so that
//! everybody else sees that it lives, and notes the outcome in it as soon as that might be lost.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument;
use uuid::Uuid;

use crate::job::{Job, JobId, JobType, Outcome};
use reefguide_storage::{ObjectInfo, Storage, StorageError, StorageUri};
use reefguide_transport::Chain;

/// After so many intervals without a renewal, the worker that wrote a record counts as dead.
const DEAD_AFTER: u32 = 5;

/// After how long without a renewal a worker that renews every `interval` counts as dead.
pub(super) fn dead_after(interval: Duration) -> Duration {
    interval.saturating_mul(DEAD_AFTER)
}

/// The largest record that is read: a result has 100 KiB at most, and may be longer once escaped.
const LARGEST: u64 = 4 << 20;

/// A claim that is not settled, as it is recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ClaimRecord {
    /// The job.
    pub job_id: JobId,
    /// What it asks for.
    pub job_type: JobType,
    /// What the worker is called in its claims; see [`JobSource::claimant`](crate::source::JobSource::claimant).
    pub claimant: String,
    /// When it was written last, by the worker's clock; for display only.
    pub written_at: Timestamp,
    /// How often it has been renewed.
    pub renewals: u64,
    /// How often the worker renews it, in milliseconds.
    pub interval_ms: u64,
    /// What the source is to be told; nothing while the job runs.
    pub outcome: Option<Outcome>,
}

impl ClaimRecord {
    /// After how long without a renewal its worker counts as dead, unless whoever looks says otherwise.
    pub fn dead_after(&self) -> Duration {
        dead_after(self.interval())
    }

    /// How often the worker renews it.
    pub fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms)
    }
}

/// Why a record could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The storage took too long.
    #[error("record {uri}: the storage did not answer within {} s", .limit.as_secs_f64())]
    Slow {
        /// The record, or the folder of all of them.
        uri: StorageUri,
        /// How long it had.
        limit: Duration,
    },
    /// An object among the records is none.
    #[error("{uri} is no record of a claim; remove it, or keep records elsewhere")]
    Foreign {
        /// The object.
        uri: StorageUri,
        /// Why it cannot be read as one.
        source: serde_json::Error,
    },
}

impl RecordError {
    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Storage(error) => error.is_retryable(),
            Self::Slow { .. } => true,
            Self::Foreign { .. } => false,
        }
    }
}

/// Where records are kept.
#[derive(Clone, Debug)]
pub struct Records {
    storage: Storage,
    folder: StorageUri,
    /// How long one call to the storage may take.
    limit: Duration,
    /// In the names of this process's records: there is one for each job.
    process: Uuid,
    own: Arc<Mutex<HashMap<StorageUri, Own>>>,
}

/// How a record of this process stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Own {
    /// Its claim is being made or worked on.
    Held,
    /// Nobody works on the claim any more, since then, and yet it is not settled.
    Orphan(Instant),
    /// Its claim is being settled.
    Settling,
}

impl Records {
    /// Records in `folder`; a call to the storage may take as long as `limit`.
    pub fn new(storage: &Storage, folder: StorageUri, limit: Duration) -> Self {
        Self {
            // They live for minutes; what is cheaper to keep is paid for a month.
            storage: storage.with_storage_class(None),
            folder,
            limit,
            process: Uuid::new_v4(),
            own: Arc::default(),
        }
    }

    /// Records that a claim is about to be made. From then on the record is renewed. An orphan of the
    /// same job is taken over: there is one claim of this process on a job, and nobody settles it
    /// meanwhile. `None` while an earlier claim on the job is worked on or settled.
    pub async fn open(
        &self,
        job: &Job,
        claimant: &str,
        interval: Duration,
    ) -> Result<Option<ClaimGuard>, RecordError> {
        let uri = self
            .folder
            .join(&format!("{}-{}.json", escape_id(&job.id), self.process))?;
        let Some(earlier) = self.take(&uri) else {
            return Ok(None);
        };
        let record = ClaimRecord {
            job_id: job.id.clone(),
            job_type: job.job_type.clone(),
            claimant: claimant.to_owned(),
            written_at: Timestamp::now(),
            renewals: 0,
            interval_ms: u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
            outcome: None,
        };
        let page = Arc::new(Page {
            records: self.clone(),
            uri,
            record: tokio::sync::Mutex::new(Some(record)),
        });
        let mut open = ClaimGuard {
            page: Some(page.clone()),
            earlier,
            _renewing: None,
        };
        if let Err(error) = page.write(|_| {}).await {
            // It may have arrived although nobody heard of it.
            open.withdraw().await;
            return Err(error);
        }
        let stop = CancellationToken::new();
        let renewing = stop
            .clone()
            .run_until_cancelled_owned(renew(page, interval));
        tokio::spawn(renewing.in_current_span());
        open._renewing = Some(stop.drop_guard());
        Ok(Some(open))
    }

    /// Every record there is, of whatever worker.
    pub async fn list(&self) -> Result<Vec<ObjectInfo>, RecordError> {
        self.limited(&self.folder, self.storage.list(&self.folder))
            .await
    }

    /// What a record says; `None` if it is gone.
    pub async fn read(&self, uri: &StorageUri) -> Result<Option<ClaimRecord>, RecordError> {
        let read = self.limited(uri, self.storage.read(uri, LARGEST));
        let bytes = match read.await {
            Err(RecordError::Storage(StorageError::NoSuchObject { .. })) => return Ok(None),
            read => read?,
        };
        let foreign = |source| RecordError::Foreign {
            uri: uri.clone(),
            source,
        };
        serde_json::from_slice(&bytes).map(Some).map_err(foreign)
    }

    /// Removes a record: its claim is resolved.
    ///
    /// # Errors
    /// [`RecordError::Storage`] and [`RecordError::Slow`].
    pub async fn remove(&self, uri: &StorageUri) -> Result<(), RecordError> {
        self.limited(uri, self.storage.delete(uri)).await?;
        self.own().remove(uri);
        Ok(())
    }

    /// Keeps an orphan of this process from being taken over, until it is [removed](Self::remove) or
    /// [released](Self::release). Returns since when it is one, and for a record of another process
    /// `Some(None)`; `None` when the record is in use.
    pub fn hold(&self, uri: &StorageUri) -> Option<Option<Instant>> {
        match self.own().get_mut(uri) {
            None => Some(None),
            Some(own) => match *own {
                Own::Orphan(since) => {
                    *own = Own::Settling;
                    Some(Some(since))
                }
                Own::Held | Own::Settling => None,
            },
        }
    }

    /// Makes an orphan of a record that could not be settled.
    pub fn release(&self, uri: &StorageUri, since: Instant) {
        if let Some(own) = self.own().get_mut(uri) {
            *own = Own::Orphan(since);
        }
    }

    /// Whether a record is of this process.
    pub fn are_own(&self, uri: &StorageUri) -> bool {
        self.own().contains_key(uri)
    }

    /// The records of this process that nobody works on.
    pub fn orphans(&self) -> Vec<StorageUri> {
        let own = self.own();
        let orphans = own.iter().filter(|(_, own)| matches!(own, Own::Orphan(_)));
        orphans.map(|(uri, _)| uri.clone()).collect()
    }

    /// Holds a new record, or an orphan, since when it is one; `None` when the record is in use.
    fn take(&self, uri: &StorageUri) -> Option<Option<Instant>> {
        let mut own = self.own();
        let earlier = match own.get(uri) {
            None => None,
            Some(Own::Orphan(since)) => Some(*since),
            Some(Own::Held | Own::Settling) => return None,
        };
        own.insert(uri.clone(), Own::Held);
        Some(earlier)
    }

    fn own(&self) -> MutexGuard<'_, HashMap<StorageUri, Own>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn limited<T>(
        &self,
        uri: &StorageUri,
        call: impl Future<Output = Result<T, StorageError>>,
    ) -> Result<T, RecordError> {
        let slow = |_| RecordError::Slow {
            uri: uri.clone(),
            limit: self.limit,
        };
        Ok(timeout(self.limit, call).await.map_err(slow)??)
    }
}

/// The record of a claim that this process makes or holds. Dropped without [`remove`](Self::remove),
/// it stays as an orphan.
#[derive(Debug, Default)]
pub struct ClaimGuard {
    page: Option<Arc<Page>>,
    /// Since when an earlier claim on the job is not settled, which this record stands for as well.
    earlier: Option<Instant>,
    _renewing: Option<DropGuard>,
}

impl ClaimGuard {
    /// For a worker that keeps no records.
    pub fn none() -> Self {
        Self::default()
    }

    /// Notes what the source is to be told, so that it can be told when this process is gone.
    pub async fn note(&self, outcome: &Outcome) {
        let Some(page) = &self.page else { return };
        let noted = page.write(|record| record.outcome = Some(outcome.clone()));
        if let Err(error) = noted.await {
            tracing::warn!(error = %Chain(&error), "outcome not recorded, delivering it all the same");
        }
    }

    /// The claim came to nothing: removes the record, unless it stands for an earlier one, too.
    pub async fn withdraw(self) {
        match self.earlier {
            Some(_) => drop(self),
            None => self.remove().await,
        }
    }

    /// Removes the record: there is nothing left to settle.
    pub async fn remove(self) {
        let Some(page) = &self.page else { return };
        // Whoever is about to renew it finds it closed.
        *page.record.lock().await = None;
        if let Err(error) = page.records.remove(&page.uri).await {
            tracing::warn!(uri = %page.uri, error = %Chain(&error), "record of a settled claim not removed");
        }
    }
}

impl Drop for ClaimGuard {
    fn drop(&mut self) {
        if let Some(page) = &self.page
            && let Some(own) = page.records.own().get_mut(&page.uri)
        {
            *own = Own::Orphan(self.earlier.unwrap_or_else(Instant::now));
        }
    }
}

/// An id as a part of a key or a folder's name: letters and digits as they are, everything else as its
/// number.
pub fn escape_id(id: &impl Display) -> String {
    let mut escape_id = String::new();
    for c in id.to_string().chars() {
        match c.is_ascii_alphanumeric() {
            true => escape_id.push(c),
            false => escape_id.push_str(&format!("_{:x}_", u32::from(c))),
        }
    }
    escape_id
}

/// One record and its place; `None` once it is closed.
#[derive(Debug)]
struct Page {
    records: Records,
    uri: StorageUri,
    record: tokio::sync::Mutex<Option<ClaimRecord>>,
}

impl Page {
    /// Writes the record with a change, one writer at a time, unless it is closed.
    async fn write(&self, change: impl FnOnce(&mut ClaimRecord)) -> Result<(), RecordError> {
        let mut record = self.record.lock().await;
        let Some(record) = record.as_mut() else {
            return Ok(());
        };
        change(record);
        record.written_at = Timestamp::now();
        let text = serde_json::to_vec(record).map_err(|source| StorageError::Json {
            path: self.uri.to_string(),
            source,
        })?;
        let stored = self.records.storage.upload_bytes(text, &self.uri);
        self.records.limited(&self.uri, stored).await?;
        Ok(())
    }
}

/// Shows every now and then that this process lives.
async fn renew(page: Arc<Page>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let renewed = page.write(|record| record.renewals += 1);
        if let Err(error) = renewed.await {
            tracing::warn!(uri = %page.uri, error = %Chain(&error), "record of a claim not renewed yet");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reefguide_storage::{Encryption, S3Credentials, S3Options, StorageClass};

    #[tokio::test]
    async fn a_record_is_encrypted_like_outputs_but_of_no_class_that_costs_a_month() {
        let server = httpmock::MockServer::start_async().await;
        let put = server.mock(|when, then| {
            when.method("PUT")
                .path_prefix("/reef/records/1-")
                .header("x-amz-server-side-encryption", "AES256")
                .header_missing("x-amz-storage-class");
            then.status(200).header("etag", "\"e\"");
        });
        let storage = Storage::s3(
            S3Options::default()
                .with_endpoint(server.base_url())
                .with_credentials(S3Credentials {
                    access_key: "a".into(),
                    secret_key: "s".into(),
                    session_token: None,
                })
                .with_encryption(Encryption::Aes256)
                .with_storage_class(StorageClass::StandardIa),
        );
        let folder = "s3://reef/records".parse().unwrap();
        let records = Records::new(&storage, folder, Duration::from_secs(30));
        let job = Job {
            id: 1.into(),
            job_type: "TEST".into(),
            payload: serde_json::Value::Null,
            created_at: None,
            unreadable: None,
        };
        let open = records.open(&job, "me", Duration::from_secs(60)).await;
        assert!(open.unwrap().is_some());
        put.assert_async().await;
    }
}
