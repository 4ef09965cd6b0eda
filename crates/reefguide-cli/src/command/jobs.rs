//! `jobs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use clap::Args;
use comfy_table::Cell;
use reefguide_client::job::{JobId, JobStatus, JobType};
use reefguide_client::{ApiError, Client, JobDetails, JobFilter, JobList};
use serde_json::json;

use crate::error::CliError;
use crate::output::{self, Output};
use crate::session;

const STATUSES: [JobStatus; 6] = [
    JobStatus::Pending,
    JobStatus::InProgress,
    JobStatus::Succeeded,
    JobStatus::Failed,
    JobStatus::Cancelled,
    JobStatus::TimedOut,
];

#[derive(Debug, Args)]
pub(crate) struct Jobs {
    /// Lists only jobs with this status, such as FAILED.
    #[arg(long, value_parser = status)]
    status: Option<JobStatus>,
    /// Lists only jobs of this type.
    #[arg(long = "type", value_name = "TYPE")]
    job_type: Option<String>,
    /// Lists only your own jobs.
    #[arg(long)]
    mine: bool,
    /// Lists only the jobs of this user, for administrators.
    #[arg(long, value_name = "ID", conflicts_with = "mine")]
    user: Option<i64>,
    /// Lists at most this many jobs.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Lists all jobs that the API returns.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

impl Jobs {
    pub(super) async fn run(self, out: Output) -> Result<bool, CliError> {
        let mut list = self.list(&session::client(out).await?).await?;
        out.note_unreadable(&list);
        let listed = (list.jobs.len() + list.skipped.len()) as u64;
        let unlisted = list.total.saturating_sub(listed);
        if let Some(job_type) = self.job_type.as_ref().map(JobType::from) {
            list.jobs.retain(|details| details.job.job_type == job_type);
        }
        let limit = if self.all { usize::MAX } else { self.limit };
        let hidden = list.jobs.len().saturating_sub(limit);
        list.jobs.truncate(limit);
        out.print(&list, |list| table(list, hidden, unlisted))?;
        Ok(true)
    }

    /// The jobs that the API returns, newest first.
    async fn list(&self, client: &Client) -> Result<JobList, ApiError> {
        let mut list = self.request(client, self.status.clone()).await?;
        let mut jobs = by_id(list.jobs);
        let mut skipped = BTreeSet::from_iter(list.skipped);
        if list.total > jobs.len() as u64 && self.status.is_none() {
            for status in STATUSES {
                let more = self.request(client, Some(status)).await?;
                jobs.append(&mut by_id(more.jobs));
                skipped.extend(more.skipped);
            }
        }
        list.skipped = skipped.into_iter().collect();
        list.jobs = jobs.into_values().rev().collect();
        Ok(list)
    }

    async fn request(
        &self,
        client: &Client,
        status: Option<JobStatus>,
    ) -> Result<JobList, ApiError> {
        if self.mine {
            return client.my_jobs(status).await;
        }
        let mut filter = JobFilter::default();
        (filter.status, filter.user_id) = (status, self.user);
        client.jobs(&filter).await
    }
}

fn by_id(jobs: Vec<JobDetails>) -> BTreeMap<JobId, JobDetails> {
    let jobs = jobs.into_iter();
    jobs.map(|details| (details.job.id.clone(), details))
        .collect()
}

/// Lays out the jobs, and says how many are hidden by the limit and how many the API does not list.
fn table(list: &JobList, hidden: usize, unlisted: u64) -> String {
    let mut table = output::table(&["JOB", "TYPE", "STATUS", "SUBMITTED", "CHANGED"]);
    for JobDetails { job, .. } in &list.jobs {
        table.add_row([
            Cell::new(&job.id),
            Cell::new(&job.job_type),
            output::status_cell(&job.status),
            Cell::new(output::timestamp(job.created_at)),
            Cell::new(output::timestamp(job.updated_at)),
        ]);
    }
    let mut text = match list.jobs.is_empty() {
        true => "no matching jobs".to_owned(),
        false => table.trim_fmt(),
    };
    if hidden > 0 {
        let _ = write!(text, "\n({hidden} more; --all shows them)");
    }
    if unlisted > 0 {
        let _ = write!(text, "\n({unlisted} more that the API does not list)");
    }
    text
}

fn status(name: &str) -> Result<JobStatus, String> {
    let status = serde_json::from_value(json!(name.to_uppercase())).map_err(|e| e.to_string())?;
    match STATUSES.contains(&status) {
        true => Ok(status),
        false => {
            let names = STATUSES.each_ref().map(JobStatus::as_str);
            Err(format!("use one of {}", names.join(", ")))
        }
    }
}
