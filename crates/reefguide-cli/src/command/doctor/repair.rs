//! Resolving the claims of dead workers.

use std::fmt::Write as _;
use std::time::Duration;

use reefguide_client::{ApiError, Client};
use reefguide_jobs::job::{JobId, JobStatus, Outcome};
use reefguide_jobs::ledger::{ClaimRecord, Recovery, Resolution};
use reefguide_transport::Chain;
use serde::Serialize;

use super::finding::{Diagnosis, Finding, Why};
use super::jobs::{api_time, lease_has_ended, open_assignment};
use crate::error::CliError;
use crate::output::{self, Output};

/// Between two sweeps of the records.
const SWEEP_INTERVAL: Duration = Duration::from_secs(2);

/// What a repair has done.
#[derive(Default, Serialize)]
pub(super) struct Repaired {
    /// Claims whose outcome was reported.
    delivered: Vec<ClaimRecord>,
    /// Claims without anything to report: the job had ended, or the claim was lost.
    obsolete: Vec<ClaimRecord>,
    /// Jobs without a record that were reported as failed because their lease had ended.
    ended: Vec<JobId>,
    /// Jobs that could not be resolved, and why.
    failed: Vec<(JobId, String)>,
    /// How many claims are held by live workers.
    alive: usize,
    /// What is still stuck.
    pub(super) left: Diagnosis,
}

/// Sweeps the records until each claim is resolved or its worker has renewed it.
pub(super) async fn resolve_claims(
    recovery: &mut Recovery,
    repaired: &mut Repaired,
    out: Output,
) -> Result<(), CliError> {
    let mut noted = 0;
    loop {
        let sweep = recovery.sweep().await?;
        repaired.failed.clear();
        for (mut record, resolution) in sweep.dead {
            match resolution {
                Ok(Resolution::Delivered(outcome)) => {
                    record.outcome = Some(outcome);
                    repaired.delivered.push(record);
                }
                Ok(_) => repaired.obsolete.push(record),
                Err(error) => {
                    let failed = (record.job_id, Chain(&error).to_string());
                    repaired.failed.push(failed);
                }
            }
        }
        repaired.alive = sweep.alive;
        if sweep.undecided == 0 {
            return Ok(());
        }
        if noted != sweep.undecided {
            noted = sweep.undecided;
            out.note(format_args!(
                "waiting to see whether workers renew their claims, {noted} undecided (Ctrl-C leaves them as they are)"
            ));
        }
        tokio::time::sleep(SWEEP_INTERVAL).await;
    }
}

/// Reports jobs as failed that have no record and whose lease has ended.
pub(super) async fn fail_ended_leases(client: &Client, repaired: &mut Repaired) {
    let (ended, left) = std::mem::take(&mut repaired.left.findings)
        .into_iter()
        .partition(|finding| matches!(finding.why, Why::LeaseEnded { .. }));
    repaired.left.findings = left;
    let ended: Vec<Finding> = ended;
    for id in ended.into_iter().flat_map(|finding| finding.jobs) {
        match fail(client, &id).await {
            Ok(true) => repaired.ended.push(id),
            Ok(false) => {}
            Err(error) => repaired.failed.push((id, Chain(&error).to_string())),
        }
    }
}

/// Reports a job as failed; `false` if its worker has reported a result in the meantime.
async fn fail(client: &Client, id: &JobId) -> Result<bool, ApiError> {
    let job = client.job(id).await?;
    let Some(held) = open_assignment(&job).filter(|held| lease_has_ended(held, api_time(client)))
    else {
        return Ok(false);
    };
    match client.post_result(&held.id, &JobStatus::Failed, None).await {
        Ok(()) => Ok(true),
        Err(_) if client.job(id).await?.job.status.is_final() => Ok(false),
        Err(error) => Err(error),
    }
}

impl Repaired {
    pub(super) fn is_complete(&self) -> bool {
        self.failed.is_empty() && self.left.findings.is_empty()
    }

    /// Whether anything was changed.
    pub(super) fn has_changed(&self) -> bool {
        !(self.delivered.is_empty() && self.obsolete.is_empty() && self.ended.is_empty())
    }

    pub(super) fn describe(&self) -> String {
        let mut text = String::new();
        for record in &self.delivered {
            let status = record.outcome.as_ref().map(Outcome::status);
            let status = status.map(|status| output::status(&status));
            let status = status.unwrap_or_default();
            let _ = writeln!(text, "job {} is now {status}", record.job_id);
        }
        for record in &self.obsolete {
            let _ = writeln!(text, "job {}: nothing to report", record.job_id);
        }
        for job in &self.ended {
            let status = output::status(&JobStatus::Failed);
            let _ = writeln!(
                text,
                "job {job} is now {status}: it had no record, and its lease had ended"
            );
        }
        for (job, error) in &self.failed {
            let _ = writeln!(text, "job {job} is not resolved: {error}");
        }
        let resolved = self.delivered.len() + self.obsolete.len() + self.ended.len();
        let _ = write!(
            text,
            "{resolved} resolved, {} not resolved, {} held by live workers",
            self.failed.len(),
            self.alive
        );
        if !self.left.findings.is_empty() || self.left.unlisted > 0 {
            let _ = write!(text, "\nstill stuck:\n{}", self.left.describe());
        }
        text
    }
}
