//! Settling the claims of dead workers, from their records.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::deadline::{Limit, Reached};
use super::delivery::{DeliveryError, deliver};
use super::liveness::{Liveness, LivenessTracker};
use super::record::{ClaimGuard, ClaimRecord, RecordError, Records, dead_after};
use crate::job::{Claim, Outcome};
use crate::source::{JobSource, SourceError};
use reefguide_storage::{ObjectInfo, Storage, StorageError, StorageUri};
use reefguide_transport::Chain;

/// How long delivering one outcome may take; the record is looked at again later.
const DELIVERY: Duration = Duration::from_secs(60);

/// How long one call to the records may take, for whoever is not a worker.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// Looks after the claims whose workers have died: delivers what their records say, or reports the job
/// as failed.
///
/// A worker counts as dead when it has not renewed a record for five of its own intervals *while
/// somebody looked*: no clock is compared with another. So it takes several [sweeps](Self::sweep).
/// Should a worker be alive all the same, the source takes one outcome only, and its job is given up.
pub struct Recovery {
    source: Arc<dyn JobSource>,
    storage: Storage,
    records: Records,
    dead_after: Option<Duration>,
    liveness: LivenessTracker,
    /// Ends a look after the record at hand.
    stop: CancellationToken,
}

/// What a look at the records brought.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct SweepReport {
    /// The records of dead workers, and what became of each.
    pub dead: Vec<(ClaimRecord, Result<Resolution, RecoveryError>)>,
    /// How many records have been renewed since they were first seen.
    pub alive: usize,
    /// How many have not, and not been seen for long enough.
    pub undecided: usize,
}

/// How a claim was resolved.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Resolution {
    /// This outcome was delivered.
    Delivered(Outcome),
    /// There was nothing to deliver: the claim was lost, or the job has ended.
    Obsolete,
}

/// Why a claim could not be settled, yet.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecoveryError {
    /// Its record could not be read or removed.
    #[error(transparent)]
    ClaimRecord(#[from] RecordError),
    /// Nobody could tell whether it stands.
    #[error("cannot tell whether the claim stands")]
    Claim(#[source] SourceError),
    /// What its worker had stored could not be removed.
    #[error("outputs of a failed job not removed")]
    Outputs(#[source] StorageError),
    /// The outcome could not be delivered.
    #[error("outcome not delivered")]
    Outcome(#[source] Box<dyn Error + Send + Sync>),
    /// Its worker may still be given the job.
    #[error("the claim was not answered, and may be yet")]
    Unanswered,
}

impl fmt::Debug for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recovery")
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}

impl RecoveryError {
    /// Whether trying again soon may help.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::ClaimRecord(error) => error.is_retryable(),
            Self::Claim(error) => error.is_retryable(),
            Self::Outputs(error) => error.is_retryable(),
            Self::Outcome(_) => true,
            Self::Unanswered => false,
        }
    }
}

impl SweepReport {
    /// What became of these records of dead workers.
    pub fn of_dead(dead: Vec<(ClaimRecord, Result<Resolution, RecoveryError>)>) -> Self {
        Self {
            dead,
            ..Self::default()
        }
    }
}

impl Recovery {
    /// Looks after the records in `folder`, with access to `storage` for whatever they name.
    pub fn new(source: impl JobSource, storage: Storage, folder: StorageUri) -> Self {
        let records = Records::new(&storage, folder, CALL_LIMIT);
        Self::of(Arc::new(source), storage, records)
    }

    /// The same for `records` that a worker already has.
    pub fn of(source: Arc<dyn JobSource>, storage: Storage, records: Records) -> Self {
        Self {
            source,
            storage,
            records,
            dead_after: None,
            liveness: LivenessTracker::default(),
            stop: CancellationToken::new(),
        }
    }

    /// Takes a worker for dead after this long without a renewal, whatever its own interval; zero for
    /// whoever knows that all of them are.
    #[must_use]
    pub fn dead_after(mut self, dead_after: Duration) -> Self {
        self.dead_after = Some(dead_after);
        self
    }

    /// Ends a sweep after the record at hand once `stop` is cancelled.
    #[must_use]
    pub fn until(mut self, stop: CancellationToken) -> Self {
        self.stop = stop;
        self
    }

    /// Every record there is, with its place; those that cannot be read are errors.
    ///
    /// Cancel safe.
    pub async fn records(
        &self,
    ) -> Result<Vec<(StorageUri, Result<ClaimRecord, RecordError>)>, RecordError> {
        let mut records = Vec::new();
        for object in self.records.list().await? {
            // One that is gone by now was settled.
            if let Some(record) = self.records.read(&object.uri).await.transpose() {
                records.push((object.uri, record));
            }
        }
        Ok(records)
    }

    /// Looks at every record once, and settles those of dead workers.
    ///
    /// # Errors
    /// When the records cannot be listed; what is wrong with a single one is in [`SweepReport::dead`].
    ///
    /// # Cancel safety
    /// Whatever was not settled is there for the next report.
    pub async fn sweep(&mut self) -> Result<SweepReport, RecordError> {
        let mut report = SweepReport::default();
        for uri in self.records.orphans() {
            report.dead.extend(self.resolve(&uri).await);
        }
        let objects = self.records.list().await?;
        self.liveness
            .begin(|uri| objects.iter().any(|object| object.uri == *uri));
        for ObjectInfo { uri, etag, .. } in objects {
            if self.stop.is_cancelled() {
                break;
            }
            if self.records.are_own(&uri) {
                continue;
            }
            match self.liveness(&uri, etag).await {
                Ok(Some(Liveness::Dead)) => report.dead.extend(self.resolve(&uri).await),
                Ok(Some(Liveness::Alive)) => report.alive += 1,
                Ok(Some(Liveness::Undecided)) => report.undecided += 1,
                // Somebody else settled it.
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%uri, error = %Chain(&error), "record of a claim cannot be read");
                }
            }
        }
        Ok(report)
    }

    /// What a record of somebody else says of its worker; `None` if it is gone.
    async fn liveness(
        &mut self,
        uri: &StorageUri,
        etag: Option<String>,
    ) -> Result<Option<Liveness>, RecordError> {
        let known = self.liveness.is_known(uri);
        let mark = match etag {
            Some(etag) if known => etag,
            // A local folder makes no ETags: there it is the text that changes.
            etag => {
                let Some(record) = self.records.read(uri).await? else {
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

    /// Resolves the claim of a record; `None` if it was resolved elsewhere by now.
    ///
    /// # Cancel safety
    /// What was not resolved is there for the next sweep.
    pub async fn resolve(
        &self,
        uri: &StorageUri,
    ) -> Option<(ClaimRecord, Result<Resolution, RecoveryError>)> {
        // From here on this process does not claim the job again.
        let orphan = self.records.hold(uri)?;
        let resolved = self.resolve_held(uri, orphan).await;
        if let Some(since) = orphan {
            // Unless it is removed.
            self.records.release(uri, since);
        }
        resolved
    }

    async fn resolve_held(
        &self,
        uri: &StorageUri,
        orphan: Option<Instant>,
    ) -> Option<(ClaimRecord, Result<Resolution, RecoveryError>)> {
        let record = match self.records.read(uri).await {
            Ok(Some(record)) => record,
            Ok(None) => {
                // It never got there, or somebody else settled it.
                let _ = self.records.remove(uri).await;
                return None;
            }
            Err(error) => {
                tracing::warn!(%uri, error = %Chain(&error), "record of a claim cannot be read");
                return None;
            }
        };
        let resolved = match self.deliver(&record, orphan).await {
            Ok(resolution) => {
                let removed = self.records.remove(uri).await;
                removed.map(|()| resolution).map_err(Into::into)
            }
            Err(error) => Err(error),
        };
        let (job_id, job_type) = (&record.job_id, &record.job_type);
        match &resolved {
            Ok(Resolution::Delivered(outcome)) => {
                let status = outcome.status();
                tracing::warn!(%job_id, %job_type, %status, claimant = record.claimant, "claim of a dead worker settled");
            }
            Ok(Resolution::Obsolete) => {
                tracing::debug!(%job_id, %job_type, claimant = record.claimant, "record of a settled claim removed");
            }
            Err(RecoveryError::Unanswered) => {}
            Err(error) => {
                tracing::warn!(%job_id, %job_type, error = %Chain(error), "claim of a dead worker not settled yet");
            }
        }
        Some((record, resolved))
    }

    /// Delivers what a record says, if its claim stands.
    async fn deliver(
        &self,
        record: &ClaimRecord,
        orphan: Option<Instant>,
    ) -> Result<Resolution, RecoveryError> {
        let claim = self.source.recover(&record.job_id, &record.claimant).await;
        let Some(claim) = claim.map_err(RecoveryError::Claim)? else {
            // A source that is slow may still answer a claim that was just sent.
            let young = orphan.is_some_and(|since| since.elapsed() < dead_after(record.interval()));
            return match young {
                true => Err(RecoveryError::Unanswered),
                false => Ok(Resolution::Obsolete),
            };
        };
        let outcome = match record.outcome.clone() {
            Some(outcome) => outcome,
            None => {
                self.take_back(&claim).await?;
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

    /// Removes what a dead worker had stored before it could say that all of it is.
    async fn take_back(&self, claim: &Claim) -> Result<(), RecoveryError> {
        // Where it cannot be read, nothing can have been stored.
        let Ok(outputs) = claim.assignment.storage_uri.parse() else {
            return Ok(());
        };
        let removed = self.storage.delete_folder(&outputs).await;
        let removed = removed.map_err(RecoveryError::Outputs)?;
        tracing::debug!(job_id = %claim.job.id, removed, "outputs taken back");
        Ok(())
    }
}
