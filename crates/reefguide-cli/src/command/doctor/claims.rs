//! The records that workers keep of their claims.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use reefguide_client::{ApiError, Client};
use reefguide_jobs::job::{JobId, JobStatus, Outcome};
use reefguide_jobs::ledger::{ClaimRecord, Recovery};
use reefguide_transport::Chain;

use super::finding::{Finding, Why, is_older};
use crate::error::CliError;
use crate::output::Output;

/// What the records show.
#[derive(Default)]
pub(super) struct Claims {
    /// Claims of workers that have gone silent.
    pub(super) silent: Vec<Finding>,
    /// How many claims are held by live workers.
    pub(super) alive: usize,
    /// The jobs that have a record.
    pub(super) jobs: BTreeSet<JobId>,
    /// How many records cannot be read, so that their jobs are unknown.
    pub(super) unreadable: usize,
}

/// Checks the records once. A worker counts as silent if its last renewal is long ago, which assumes that its clock
/// and this machine's agree; a repair watches for renewals instead.
pub(super) async fn check(
    client: &Client,
    recovery: &Recovery,
    dead_after: Option<Duration>,
    out: Output,
) -> Result<Claims, CliError> {
    let mut claims = Claims::default();
    for (_, record) in recovery.records().await? {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                out.note(format_args!("{}", Chain(&error)));
                claims.unreadable += 1;
                continue;
            }
        };
        claims.jobs.insert(record.job_id.clone());
        let limit = dead_after.unwrap_or_else(|| record.dead_after());
        match is_older(record.written_at, Timestamp::now(), limit) {
            true => claims.silent.push(silent(client, record).await?),
            false => claims.alive += 1,
        }
    }
    Ok(claims)
}

async fn silent(client: &Client, record: ClaimRecord) -> Result<Finding, ApiError> {
    let status = match client.job(&record.job_id).await {
        Ok(details) => Some(details.job.status),
        Err(error) if error.is_gone() => None,
        Err(error) => return Err(error),
    };
    let worker = record.claimant;
    let why = match status.as_ref().is_none_or(JobStatus::is_final) {
        true => Why::RecordLeft { worker },
        false => Why::WorkerSilent {
            worker,
            recorded: record.outcome.as_ref().map(Outcome::status),
        },
    };
    let since = Some(record.written_at);
    Ok(Finding::new(
        record.job_id,
        record.job_type,
        status,
        since,
        why,
    ))
}
