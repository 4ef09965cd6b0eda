//! The record of a claim that this process makes: written before the claim, renewed while it is held, and removed when
//! it is resolved.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use reefguide_storage::{StorageError, StorageUri};
use reefguide_transport::Chain;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::Instrument;

use super::record::{ClaimRecord, escape_id};
use super::store::{Ledger, LedgerError, Own};
use crate::job::{Job, Outcome};

/// The record of a claim that this process makes or holds. If it is dropped without [`remove`](Self::remove), the record
/// stays as an orphan.
#[derive(Debug, Default)]
pub struct ClaimGuard {
    /// `None` for a worker without a ledger.
    record: Option<Arc<OpenRecord>>,
    /// Since when an earlier claim on the job has been an orphan, which this record stands for as well.
    earlier: Option<Instant>,
    _renewing: Option<DropGuard>,
}

impl ClaimGuard {
    /// For a worker without a ledger.
    pub fn none() -> Self {
        Self::default()
    }

    /// Records the outcome, so that another worker can deliver it if this one dies.
    pub async fn note(&self, outcome: &Outcome) {
        let Some(record) = &self.record else { return };
        let noted = record.write(|record| record.outcome = Some(outcome.clone()));
        if let Err(error) = noted.await {
            tracing::warn!(error = %Chain(&error), "outcome not recorded, delivering it all the same");
        }
    }

    /// Removes the record, because the claim failed; unless the record stands for an earlier claim, too.
    pub async fn withdraw(self) {
        match self.earlier {
            Some(_) => drop(self),
            None => self.remove().await,
        }
    }

    /// Removes the record, because the claim is resolved.
    pub async fn remove(self) {
        let Some(open) = &self.record else { return };
        // A renewal that waits for the lock must not write the record again.
        *open.record.lock().await = None;
        if let Err(error) = open.ledger.remove(&open.uri).await {
            tracing::warn!(uri = %open.uri, error = %Chain(&error), "record of a resolved claim not removed");
        }
    }
}

impl Drop for ClaimGuard {
    fn drop(&mut self) {
        if let Some(open) = &self.record
            && let Some(own) = open.ledger.own().get_mut(&open.uri)
        {
            *own = Own::Orphan(self.earlier.unwrap_or_else(Instant::now));
        }
    }
}

/// A record that this process writes.
#[derive(Debug)]
struct OpenRecord {
    ledger: Ledger,
    uri: StorageUri,
    /// `None` once it is removed.
    record: Mutex<Option<ClaimRecord>>,
}

impl OpenRecord {
    /// Changes and writes the record, unless it is removed. Other writers wait.
    async fn write(&self, change: impl FnOnce(&mut ClaimRecord)) -> Result<(), LedgerError> {
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
        let stored = self.ledger.storage.upload_bytes(text, &self.uri);
        self.ledger.limited(&self.uri, stored).await?;
        Ok(())
    }
}

/// Renews the record at every interval, to show that this process is alive.
async fn renew(open: Arc<OpenRecord>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let renewed = open.write(|record| record.renewals += 1);
        if let Err(error) = renewed.await {
            tracing::warn!(uri = %open.uri, error = %Chain(&error), "record of a claim not renewed yet");
        }
    }
}

impl Ledger {
    /// Records that a claim is about to be made, and renews the record from then on. It replaces an orphan of the same
    /// job, because a process has one record for each job. Returns `None` while an earlier claim on the job is held or
    /// being resolved.
    pub async fn open(
        &self,
        job: &Job,
        claimant: &str,
        interval: Duration,
    ) -> Result<Option<ClaimGuard>, LedgerError> {
        let uri = self
            .folder
            .join(&format!("{}-{}.json", escape_id(&job.id), self.process))?;
        let Some(earlier) = self.reserve(&uri) else {
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
        let open = Arc::new(OpenRecord {
            ledger: self.clone(),
            uri,
            record: Mutex::new(Some(record)),
        });
        let mut guard = ClaimGuard {
            record: Some(open.clone()),
            earlier,
            _renewing: None,
        };
        if let Err(error) = open.write(|_| {}).await {
            // The storage may have it all the same.
            guard.withdraw().await;
            return Err(error);
        }
        let stop = CancellationToken::new();
        let renewing = stop
            .clone()
            .run_until_cancelled_owned(renew(open, interval));
        tokio::spawn(renewing.in_current_span());
        guard._renewing = Some(stop.drop_guard());
        Ok(Some(guard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reefguide_storage::{Encryption, S3Credentials, S3Options, Storage, StorageClass};

    #[tokio::test]
    async fn a_record_is_encrypted_like_outputs_but_has_no_storage_class_that_charges_for_a_month()
    {
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
        let ledger = Ledger::new(&storage, folder, Duration::from_secs(30));
        let job = Job {
            id: 1.into(),
            job_type: "TEST".into(),
            payload: serde_json::Value::Null,
            created_at: None,
            unreadable: None,
        };
        let open = ledger.open(&job, "me", Duration::from_secs(60)).await;
        assert!(open.unwrap().is_some());
        put.assert_async().await;
    }
}
