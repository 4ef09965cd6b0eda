//! Jobs that have not ended, as the API lists them.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::time::Duration;

use jiff::Timestamp;
use reefguide_client::job::{JobId, JobStatus, JobType};
use reefguide_client::{ApiError, AssignmentRecord, Client, JobDetails, JobFilter, JobRecord};
use reefguide_transport::Chain;

use super::finding::{Finding, Why, is_older};
use crate::output::Output;

/// Running jobs, and how many more there are.
pub(super) async fn running(
    client: &Client,
    out: Output,
) -> Result<(Vec<JobDetails>, u64), ApiError> {
    list(client, JobStatus::InProgress, out).await
}

async fn list(
    client: &Client,
    status: JobStatus,
    out: Output,
) -> Result<(Vec<JobDetails>, u64), ApiError> {
    let list = client.jobs(&JobFilter::default().status(status)).await?;
    out.note_unreadable(&list);
    let listed = (list.jobs.len() + list.skipped.len()) as u64;
    Ok((list.jobs, list.total.saturating_sub(listed)))
}

/// Waiting jobs, and how many more there are.
pub(super) async fn waiting(
    client: &Client,
    out: Output,
) -> Result<(Vec<JobRecord>, u64), ApiError> {
    let (jobs, mut unlisted) = list(client, JobStatus::Pending, out).await?;
    let jobs = jobs.into_iter().map(|details| details.job);
    let mut jobs: BTreeMap<_, _> = jobs.map(|job| (job.id.clone(), job)).collect();
    if unlisted > 0 {
        // The list has the jobs that changed last, a poll has the oldest.
        for job in client.poll(None).await? {
            if jobs.insert(job.id.clone(), job).is_none() {
                unlisted = unlisted.saturating_sub(1);
            }
        }
    }
    Ok((jobs.into_values().collect(), unlisted))
}

/// The running jobs that no worker will report. `recorded` are the jobs that have a record, if that is known.
pub(super) async fn stuck(
    client: &Client,
    running: Vec<JobDetails>,
    recorded: Option<&BTreeSet<JobId>>,
    now: Timestamp,
) -> Result<Vec<Finding>, ApiError> {
    let mut found = Vec::new();
    for details in running {
        if recorded.is_some_and(|recorded| recorded.contains(&details.job.id)) {
            continue;
        }
        let Some(mut why) = reason(&details, recorded.is_some(), now) else {
            continue;
        };
        // It may have ended since it was listed, and its record may have been removed.
        let details = match client.job(&details.job.id).await {
            // Only this job's answer cannot be read.
            Err(error) if error.is_foreign() => {
                let reason = Chain(&error).to_string();
                why = Why::Unreadable { reason };
                details
            }
            newer => {
                let newer = newer?;
                if newer.job.status != JobStatus::InProgress {
                    continue;
                }
                if let Some(newer) = reason(&newer, recorded.is_some(), now) {
                    why = newer;
                }
                newer
            }
        };
        let JobRecord {
            id,
            job_type,
            status,
            ..
        } = details.job;
        let since = details.job.updated_at.or(details.job.created_at);
        found.push(Finding::new(id, job_type, Some(status), since, why));
    }
    Ok(found)
}

/// Why no worker will report a running job that has no record.
fn reason(details: &JobDetails, records_known: bool, now: Timestamp) -> Option<Why> {
    let Some(held) = open_assignment(details) else {
        return Some(match &details.job.unreadable {
            Some(reason) => Why::Unreadable {
                reason: reason.clone(),
            },
            None => Why::NoAssignment,
        });
    };
    let worker = held.ecs_task_arn.clone();
    match lease_has_ended(held, now) {
        true => Some(Why::LeaseEnded { worker }),
        false => records_known.then_some(Why::NoRecord { worker }),
    }
}

/// The assignment that a result is reported for: the lowest one without a result.
pub(super) fn open_assignment(details: &JobDetails) -> Option<&AssignmentRecord> {
    let open = details.assignments.iter();
    let open = open.filter(|held| held.completed_at.is_none());
    open.min_by_key(|held| held.id.clone())
}

/// Whether the lease of an assignment has ended.
pub(super) fn lease_has_ended(held: &AssignmentRecord, now: Timestamp) -> bool {
    held.expires_at.is_some_and(|end| end <= now)
}

/// The jobs that have waited for at least `limit`, a finding for each type.
pub(super) fn waiting_long(
    waiting: Vec<JobRecord>,
    now: Timestamp,
    limit: Duration,
) -> Vec<Finding> {
    let mut types = BTreeMap::<JobType, Finding>::new();
    let is_old = |job: &JobRecord| job.created_at.is_some_and(|at| is_older(at, now, limit));
    for job in waiting.into_iter().filter(is_old) {
        let since = job.created_at;
        match types.entry(job.job_type.clone()) {
            Entry::Vacant(new) => {
                let status = Some(job.status);
                let why = Why::Unclaimed;
                new.insert(Finding::new(job.id, job.job_type, status, since, why));
            }
            Entry::Occupied(found) => {
                let found = found.into_mut();
                found.since = found.since.min(since);
                found.jobs.push(job.id);
            }
        }
    }
    types.into_values().collect()
}

/// The API's time, which decides when a lease ends.
pub(super) fn api_time(client: &Client) -> Timestamp {
    let now = Timestamp::now();
    let ahead = client.clock_ahead().unwrap_or_default();
    now.checked_sub(ahead).unwrap_or(now)
}
