//! The records that workers keep of their claims.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use reefguide_client::{ApiError, Client};
use reefguide_jobs::job::{JobId, JobStatus, Outcome};
use reefguide_jobs::ledger::{ClaimRecord, Recovery};
use reefguide_transport::Chain;

use super::finding::{Finding, Why, is_over};
use crate::error::CliError;
use crate::output::Output;

/// What the records say.
#[derive(Default)]
pub(super) struct Claims {
    pub(super) silent: Vec<Finding>,
    pub(super) alive: usize,
    /// The jobs that have a record.
    pub(super) jobs: BTreeSet<JobId>,
    /// How many records cannot be read, so that it is not known of which jobs they are.
    pub(super) unreadable: usize,
}

/// Looks at the records once. By that a worker is taken for dead that has not renewed one for long, by its clock and
/// this machine's; a repair looks better.
pub(super) async fn look(
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
        match is_over(record.written_at, Timestamp::now(), limit) {
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
