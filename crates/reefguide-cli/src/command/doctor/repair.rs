//! Settling what dead workers have left.

use std::fmt::Write as _;
use std::time::Duration;

use reefguide_client::{ApiError, Client};
use reefguide_jobs::job::{JobId, JobStatus, Outcome};
use reefguide_jobs::ledger::{ClaimRecord, Recovery, Resolution};
use reefguide_transport::Chain;
use serde::Serialize;

use super::finding::{Diagnosis, Finding, Why};
use super::jobs::{has_ended, open};
use super::now;
use crate::error::CliError;
use crate::output::{self, Output};

/// Between two looks at the records.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// What a repair did.
#[derive(Default, Serialize)]
pub(super) struct Repaired {
    /// Claims whose outcome was reported.
    delivered: Vec<ClaimRecord>,
    /// Claims for which there was nothing to report.
    obsolete: Vec<ClaimRecord>,
    /// Jobs without a record that were reported as failed because their lease had ended.
    ended: Vec<JobId>,
    /// What could not be settled, and why.
    failed: Vec<(JobId, String)>,
    /// How many claims are held by workers that live.
    alive: usize,
    /// What is stuck still.
    pub(super) left: Diagnosis,
}

/// Looks until every record is settled or its worker has shown that it lives.
pub(super) async fn settle(
    recovery: &mut Recovery,
    repaired: &mut Repaired,
    out: Output,
) -> Result<(), CliError> {
    let mut told = 0;
    loop {
        let look = recovery.sweep().await?;
        repaired.failed.clear();
        for (mut record, settled) in look.dead {
            match settled {
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
        repaired.alive = look.alive;
        if look.undecided == 0 {
            return Ok(());
        }
        if told != look.undecided {
            told = look.undecided;
            out.note(format_args!(
                "watching for signs of life, {told} undecided (Ctrl-C leaves them as they are)"
            ));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Reports jobs as failed that have no record and whose lease has ended.
pub(super) async fn end(client: &Client, repaired: &mut Repaired) {
    let (ended, left) = std::mem::take(&mut repaired.left.findings)
        .into_iter()
        .partition(|finding| matches!(finding.why, Why::LeaseEnded { .. }));
    repaired.left.findings = left;
    let ended: Vec<Finding> = ended;
    for id in ended.into_iter().flat_map(|finding| finding.jobs) {
        match end_one(client, &id).await {
            Ok(true) => repaired.ended.push(id),
            Ok(false) => {}
            Err(error) => repaired.failed.push((id, Chain(&error).to_string())),
        }
    }
}

/// Whether the job is failed by this; not if its worker was late, and yet first.
async fn end_one(client: &Client, id: &JobId) -> Result<bool, ApiError> {
    let job = client.job(id).await?;
    let Some(held) = open(&job).filter(|held| has_ended(held, now(client))) else {
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

    /// Whether anything was done that somebody should know.
    pub(super) fn has_changed(&self) -> bool {
        !(self.delivered.is_empty() && self.obsolete.is_empty() && self.ended.is_empty())
    }

    pub(super) fn said(&self) -> String {
        let mut text = String::new();
        for record in &self.delivered {
            let status = record.outcome.as_ref().map(Outcome::status);
            let status = status.map(|status| output::status(&status));
            let status = status.unwrap_or_default();
            let _ = writeln!(text, "job {} is now {status}", record.job_id);
        }
        for record in &self.obsolete {
            let _ = writeln!(text, "job {}: nothing to settle", record.job_id);
        }
        for job in &self.ended {
            let status = output::status(&JobStatus::Failed);
            let _ = writeln!(
                text,
                "job {job} is now {status}: it had no record, and its lease had ended"
            );
        }
        for (job, error) in &self.failed {
            let _ = writeln!(text, "job {job}: not settled: {error}");
        }
        let settled = self.delivered.len() + self.obsolete.len() + self.ended.len();
        let _ = write!(
            text,
            "{settled} settled, {} not settled, {} held by workers that live",
            self.failed.len(),
            self.alive
        );
        if !self.left.findings.is_empty() || self.left.unlisted > 0 {
            let _ = write!(text, "\nstill stuck:\n{}", self.left.said());
        }
        text
    }
}
