//! What the API says of jobs that have not ended.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::time::Duration;

use jiff::Timestamp;
use reefguide_client::job::{JobId, JobStatus, JobType};
use reefguide_client::{ApiError, AssignmentRecord, Client, JobDetails, JobFilter, JobRecord};
use reefguide_transport::Chain;

use super::finding::{Finding, Why, is_over};
use crate::output::Output;

/// Jobs under way, and how many more there are.
pub(super) async fn running(
    client: &Client,
    out: Output,
) -> Result<(Vec<JobDetails>, u64), ApiError> {
    listed(client, JobStatus::InProgress, out).await
}

async fn listed(
    client: &Client,
    status: JobStatus,
    out: Output,
) -> Result<(Vec<JobDetails>, u64), ApiError> {
    let list = client.jobs(&JobFilter::default().status(status)).await?;
    out.note_unreadable(&list);
    let named = (list.jobs.len() + list.skipped.len()) as u64;
    Ok((list.jobs, list.total.saturating_sub(named)))
}

/// Jobs that wait, and how many more there are.
pub(super) async fn waiting(
    client: &Client,
    out: Output,
) -> Result<(Vec<JobRecord>, u64), ApiError> {
    let (jobs, mut unlisted) = listed(client, JobStatus::Pending, out).await?;
    let jobs = jobs.into_iter().map(|details| details.job);
    let mut jobs: BTreeMap<_, _> = jobs.map(|job| (job.id.clone(), job)).collect();
    if unlisted > 0 {
        // The list has those that changed last; these are the oldest.
        for job in client.poll(None).await? {
            if jobs.insert(job.id.clone(), job).is_none() {
                unlisted = unlisted.saturating_sub(1);
            }
        }
    }
    Ok((jobs.into_values().collect(), unlisted))
}

/// Those of the jobs under way that nobody will report; `recorded` are the jobs that have a record, if that is known.
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
        // It may have ended since, and its record with it.
        let details = match client.job(&details.job.id).await {
            // This one alone.
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

/// Why nobody will report a job that is under way and has no record.
fn reason(details: &JobDetails, records_known: bool, now: Timestamp) -> Option<Why> {
    let Some(held) = open(details) else {
        return Some(match &details.job.unreadable {
            Some(reason) => Why::Unreadable {
                reason: reason.clone(),
            },
            None => Why::NoAssignment,
        });
    };
    let worker = held.ecs_task_arn.clone();
    match has_ended(held, now) {
        true => Some(Why::LeaseEnded { worker }),
        false => records_known.then_some(Why::NoRecord { worker }),
    }
}

/// The assignment by which a job is reported: the lowest one without a result.
pub(super) fn open(details: &JobDetails) -> Option<&AssignmentRecord> {
    let open = details.assignments.iter();
    let open = open.filter(|held| held.completed_at.is_none());
    open.min_by_key(|held| held.id.clone())
}

/// Whether the lease of an assignment has ended.
pub(super) fn has_ended(held: &AssignmentRecord, now: Timestamp) -> bool {
    held.expires_at.is_some_and(|end| end <= now)
}

/// The jobs that have waited for so long, by type.
pub(super) fn waiting_long(
    waiting: Vec<JobRecord>,
    now: Timestamp,
    limit: Duration,
) -> Vec<Finding> {
    let mut types = BTreeMap::<JobType, Finding>::new();
    let is_old = |job: &JobRecord| job.created_at.is_some_and(|at| is_over(at, now, limit));
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
