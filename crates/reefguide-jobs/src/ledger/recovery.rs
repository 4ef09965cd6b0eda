//! Resolving the claims of dead workers, from their records.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::deadline::{Limit, Reached};
use super::delivery::{DeliveryError, deliver};
use super::guard::ClaimGuard;
use super::liveness::{Liveness, LivenessTracker};
use super::record::{ClaimRecord, dead_after};
use super::store::{Ledger, LedgerError};
use crate::job::{Claim, Outcome};
use crate::source::{JobSource, SourceError};
use reefguide_storage::{ObjectInfo, Storage, StorageError, StorageUri};
use reefguide_transport::Chain;

/// How long delivering one outcome may take; a later sweep tries again.
const DELIVERY: Duration = Duration::from_secs(60);

/// How long one call to the storage may take in a program that is not a worker.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// Resolves the claims of dead workers: delivers the outcomes in their records, or reports the jobs as failed.
///
/// A worker counts as dead if it has not renewed a record for five of its intervals, as observed in several
/// [sweeps](Self::sweep). The clocks of two machines are never compared. If the worker is alive after all, it gives up
/// its job when it learns that the source has an outcome, because the source accepts only one.
pub struct Recovery {
    source: Arc<dyn JobSource>,
    storage: Storage,
    ledger: Ledger,
    dead_after: Option<Duration>,
    liveness: LivenessTracker,
    /// Ends a sweep after the current record.
    stop: CancellationToken,
}

/// What a sweep found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct SweepReport {
    /// The records of dead workers, and how their claims were resolved.
    pub dead: Vec<(ClaimRecord, Result<Resolution, RecoveryError>)>,
    /// The number of records that have been renewed since they were first seen.
    pub alive: usize,
    /// The number of records that have not been renewed, but not been watched for long enough either.
    pub undecided: usize,
}

/// How a claim was resolved.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Resolution {
    /// This outcome was delivered.
    Delivered(Outcome),
    /// There was nothing to deliver: the claim was lost, or the job had ended.
    Obsolete,
}

/// Why a claim could not be resolved yet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryError {
    /// Its record could not be read or removed.
    #[error(transparent)]
    Record(#[from] LedgerError),
    /// The source did not say whether it is still held.
    #[error("cannot find out whether the claim is still held")]
    Claim(#[source] SourceError),
    /// The outputs that its worker had stored could not be removed.
    #[error("outputs of a failed job not removed")]
    Outputs(#[source] StorageError),
    /// The outcome could not be delivered.
    #[error("outcome not delivered")]
    Outcome(#[source] Box<dyn Error + Send + Sync>),
    /// The source did not answer it, and may still assign the job.
    #[error("the claim has no answer yet, and may still be won")]
    Unanswered,
}

impl fmt::Debug for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recovery")
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}

impl RecoveryError {
    /// Whether trying again soon may help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Record(error) => error.is_retryable(),
            Self::Claim(error) => error.is_retryable(),
            Self::Outputs(error) => error.is_retryable(),
            Self::Outcome(_) => true,
            Self::Unanswered => false,
        }
    }
}

impl SweepReport {
    /// A report of these records of dead workers.
    pub fn of_dead(dead: Vec<(ClaimRecord, Result<Resolution, RecoveryError>)>) -> Self {
        Self {
            dead,
            ..Self::default()
        }
    }
}

impl Recovery {
    /// Recovery for the ledger in `folder`. Outputs are removed through `storage`, too.
    pub fn new(source: impl JobSource, storage: Storage, folder: StorageUri) -> Self {
        let ledger = Ledger::new(&storage, folder, CALL_LIMIT);
        Self::of(Arc::new(source), storage, ledger)
    }

    /// Recovery for a worker's own ledger.
    pub fn of(source: Arc<dyn JobSource>, storage: Storage, ledger: Ledger) -> Self {
        Self {
            source,
            storage,
            ledger,
            dead_after: None,
            liveness: LivenessTracker::default(),
            stop: CancellationToken::new(),
        }
    }

    /// How long a record may go without a renewal before its worker counts as dead; by default five times the worker's
    /// interval. Use zero only if you know that all workers are dead.
    #[must_use]
    pub fn dead_after(mut self, dead_after: Duration) -> Self {
        self.dead_after = Some(dead_after);
        self
    }

    /// Ends a sweep after the current record once `stop` is cancelled.
    #[must_use]
    pub fn until(mut self, stop: CancellationToken) -> Self {
        self.stop = stop;
        self
    }

    /// All records with their places. A record that cannot be read is an error.
    ///
    /// Cancel safe.
    pub async fn records(
        &self,
    ) -> Result<Vec<(StorageUri, Result<ClaimRecord, LedgerError>)>, LedgerError> {
        let mut records = Vec::new();
        for object in self.ledger.list().await? {
            // A record that is gone was resolved in the meantime.
            if let Some(record) = self.ledger.read(&object.uri).await.transpose() {
                records.push((object.uri, record));
            }
        }
        Ok(records)
    }

    /// Checks every record once, and resolves the claims of dead workers.
    ///
    /// # Errors
    /// If the records cannot be listed. Errors of single records are in [`SweepReport::dead`].
    ///
    /// # Cancel safety
    /// A later sweep finds what was not resolved.
    pub async fn sweep(&mut self) -> Result<SweepReport, LedgerError> {
        let mut report = SweepReport::default();
        for uri in self.ledger.orphans() {
            report.dead.extend(self.resolve(&uri).await);
        }
        let objects = self.ledger.list().await?;
        self.liveness
            .begin(|uri| objects.iter().any(|object| object.uri == *uri));
        for ObjectInfo { uri, etag, .. } in objects {
            if self.stop.is_cancelled() {
                break;
            }
            if self.ledger.is_own(&uri) {
                continue;
            }
            match self.liveness(&uri, etag).await {
                Ok(Some(Liveness::Dead)) => report.dead.extend(self.resolve(&uri).await),
                Ok(Some(Liveness::Alive)) => report.alive += 1,
                Ok(Some(Liveness::Undecided)) => report.undecided += 1,
                // Another worker has resolved it.
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%uri, error = %Chain(&error), "record of a claim cannot be read");
                }
            }
        }
        Ok(report)
    }

    /// Whether the worker of another process's record is alive; `None` if the record is gone.
    async fn liveness(
        &mut self,
        uri: &StorageUri,
        etag: Option<String>,
    ) -> Result<Option<Liveness>, LedgerError> {
        let known = self.liveness.is_known(uri);
        let mark = match etag {
            Some(etag) if known => etag,
            // Local folders have no ETags, but the text changes with each renewal.
            etag => {
                let Some(record) = self.ledger.read(uri).await? else {
                    return Ok(None);
                };
                let mark = etag.unwrap_or_else(|| format!("{record:?}"));
                self.liveness.observe_first(uri, &mark, record.interval());
                mark
            }
        };
        Ok(Some(match known {
            true => self.liveness.observe(uri, &mark, self.dead_after),
            false if self.dead_after == Some(Duration::ZERO) => Liveness::Dead,
            false => Liveness::Undecided,
        }))
    }

    /// Resolves the claim of a record. Returns `None` if another worker has resolved it, or the record cannot be read.
    ///
    /// # Cancel safety
    /// A later sweep finds what was not resolved.
    pub async fn resolve(
        &self,
        uri: &StorageUri,
    ) -> Option<(ClaimRecord, Result<Resolution, RecoveryError>)> {
        // Until it is released or removed, this process does not claim the job.
        let orphan = self.ledger.hold(uri)?;
        let resolved = self.resolve_held(uri, orphan).await;
        if let Some(since) = orphan {
            self.ledger.release(uri, since);
        }
        resolved
    }

    async fn resolve_held(
        &self,
        uri: &StorageUri,
        orphan: Option<Instant>,
    ) -> Option<(ClaimRecord, Result<Resolution, RecoveryError>)> {
        let record = match self.ledger.read(uri).await {
            Ok(Some(record)) => record,
            Ok(None) => {
                // It was never stored, or another worker has resolved it.
                let _ = self.ledger.remove(uri).await;
                return None;
            }
            Err(error) => {
                tracing::warn!(%uri, error = %Chain(&error), "record of a claim cannot be read");
                return None;
            }
        };
        let resolved = match self.deliver(&record, orphan).await {
            Ok(resolution) => {
                let removed = self.ledger.remove(uri).await;
                removed.map(|()| resolution).map_err(Into::into)
            }
            Err(error) => Err(error),
        };
        let (job_id, job_type) = (&record.job_id, &record.job_type);
        match &resolved {
            Ok(Resolution::Delivered(outcome)) => {
                let status = outcome.status();
                tracing::warn!(%job_id, %job_type, %status, claimant = record.claimant, "claim of a dead worker resolved");
            }
            Ok(Resolution::Obsolete) => {
                tracing::debug!(%job_id, %job_type, claimant = record.claimant, "record of a resolved claim removed");
            }
            Err(RecoveryError::Unanswered) => {}
            Err(error) => {
                tracing::warn!(%job_id, %job_type, error = %Chain(error), "claim of a dead worker not resolved yet");
            }
        }
        Some((record, resolved))
    }

    /// Delivers the outcome of a record, if its claim is still held.
    async fn deliver(
        &self,
        record: &ClaimRecord,
        orphan: Option<Instant>,
    ) -> Result<Resolution, RecoveryError> {
        let claim = self.source.recover(&record.job_id, &record.claimant).await;
        let Some(claim) = claim.map_err(RecoveryError::Claim)? else {
            // A slow source may still grant a claim that was sent a moment ago.
            let young = orphan.is_some_and(|since| since.elapsed() < dead_after(record.interval()));
            return match young {
                true => Err(RecoveryError::Unanswered),
                false => Ok(Resolution::Obsolete),
            };
        };
        let outcome = match record.outcome.clone() {
            Some(outcome) => outcome,
            None => {
                self.remove_outputs(&claim).await?;
                let reason = "its worker ended without reporting it".to_owned();
                Outcome::Failed { reason }
            }
        };
        let limit = Limit {
            shutdown: &CancellationToken::new(),
            end: Some((Instant::now() + DELIVERY, Reached::Recovery)),
            ended: None,
        };
        let delivered = deliver(
            &*self.source,
            &(),
            &claim,
            outcome,
            &ClaimGuard::none(),
            limit,
        )
        .await;
        match delivered {
            Ok(outcome) => Ok(Resolution::Delivered(outcome)),
            Err(DeliveryError::Superseded { .. }) => Ok(Resolution::Obsolete),
            Err(error) => Err(RecoveryError::Outcome(error.into())),
        }
    }

    /// Removes what a dead worker stored without recording a success.
    async fn remove_outputs(&self, claim: &Claim) -> Result<(), RecoveryError> {
        // Under a URI that cannot be read, nothing can have been stored.
        let Ok(outputs) = claim.assignment.storage_uri.parse() else {
            return Ok(());
        };
        let removed = self.storage.delete_folder(&outputs).await;
        let removed = removed.map_err(RecoveryError::Outputs)?;
        tracing::debug!(job_id = %claim.job.id, removed, "outputs of a failed job removed");
        Ok(())
    }
}
