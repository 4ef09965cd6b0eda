//! Resolving the claims of dead workers.

use std::fmt::Write as _;
use std::time::Duration;

use reefguide_client::job::{JobId, JobStatus};
use reefguide_client::{ApiError, Client};
use reefguide_transport::Chain;
use serde::Serialize;

#[cfg(feature = "bucket")]
use super::claims::{Claims, ResolvedClaims};
use super::finding::{Diagnosis, Finding, Why};
use super::jobs::{api_time, lease_has_ended, open_assignment};
#[cfg(not(feature = "bucket"))]
use super::no_bucket::{Claims, ResolvedClaims};
use crate::error::CliError;
use crate::output::{self, Output};

/// Between two sweeps of the records.
const SWEEP_INTERVAL: Duration = Duration::from_secs(2);

/// What a repair has done.
#[derive(Default, Serialize)]
pub(super) struct Repaired {
    #[serde(flatten)]
    claims: ResolvedClaims,
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
    claims: &mut Claims,
    repaired: &mut Repaired,
    out: Output,
) -> Result<(), CliError> {
    let mut noted = 0;
    loop {
        let sweep = claims.sweep(&mut repaired.claims, &mut repaired.failed);
        let sweep = sweep.await?;
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
        self.claims.count() + self.ended.len() > 0
    }

    pub(super) fn describe(&self) -> String {
        let mut text = String::new();
        self.claims.describe(&mut text);
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
        let resolved = self.claims.count() + self.ended.len();
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
