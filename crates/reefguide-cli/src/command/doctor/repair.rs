//! Settling what dead workers and ended leases have left.

use std::fmt::Write as _;
use std::time::Duration;

use reefguide_worker::Chain;
use reefguide_worker::job::{JobId, JobStatus, Outcome};
use reefguide_worker::runtime::{Record, Recovery, Settled};
use reefguide_worker::source::reefguide::{ApiError, Client, JobDetails};
use serde::Serialize;

use super::jobs::{has_ended, open, running};
use super::now;
use crate::error::CliError;
use crate::output;

/// Between two looks at the records.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// What a repair did.
#[derive(Default, Serialize)]
pub(super) struct Repaired {
    /// Claims whose outcome was reported.
    delivered: Vec<Record>,
    /// Claims for which there was nothing to report.
    obsolete: Vec<Record>,
    /// Jobs that were reported as failed because their lease had ended.
    ended: Vec<JobId>,
    /// What could not be settled, and why.
    failed: Vec<(JobId, String)>,
    /// How many claims are held by workers that live.
    alive: usize,
}

/// Settles the claims of dead workers first, as they may have a success to report.
pub(super) async fn repair(
    client: &Client,
    recovery: Option<&mut Recovery>,
) -> Result<Repaired, CliError> {
    let mut repaired = Repaired::default();
    if let Some(recovery) = recovery {
        settle(recovery, &mut repaired).await?;
    }
    for job in running(client).await?.0 {
        if repaired
            .failed
            .iter()
            .any(|(failed, _)| *failed == job.job.id)
        {
            continue;
        }
        match end(client, &job).await {
            Ok(true) => repaired.ended.push(job.job.id),
            Ok(false) => {}
            Err(error) => repaired
                .failed
                .push((job.job.id, Chain(&error).to_string())),
        }
    }
    Ok(repaired)
}

/// Looks until every record is settled or its worker has shown that it lives.
async fn settle(recovery: &mut Recovery, repaired: &mut Repaired) -> Result<(), CliError> {
    let mut told = 0;
    loop {
        let look = recovery.look().await?;
        repaired.failed.clear();
        for (mut record, settled) in look.dead {
            match settled {
                Ok(Settled::Delivered(outcome)) => {
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
            output::note(format_args!(
                "watching for signs of life, {told} undecided (Ctrl-C leaves them as they are)"
            ));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Reports a job as failed if its lease has ended.
async fn end(client: &Client, job: &JobDetails) -> Result<bool, ApiError> {
    let Some(held) = open(job).filter(|held| has_ended(held, now(client))) else {
        return Ok(false);
    };
    match client.post_result(&held.id, &JobStatus::Failed, None).await {
        Ok(()) => Ok(true),
        // Its worker was late, and yet first.
        Err(_) if client.job(&job.job.id).await?.job.status.is_final() => Ok(false),
        Err(error) => Err(error),
    }
}

impl Repaired {
    pub(super) fn is_complete(&self) -> bool {
        self.failed.is_empty()
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
            let _ = writeln!(text, "job {job} is now {status}: its lease had ended");
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
        text
    }
}
