//! `jobs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use clap::Args;
use comfy_table::Cell;
use reefguide_client::job::{JobStatus, JobType};
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
    /// Only this status, such as FAILED.
    #[arg(long, value_parser = status)]
    status: Option<JobStatus>,
    /// Only this job type.
    #[arg(long = "type", value_name = "TYPE")]
    job_type: Option<String>,
    /// Only your own.
    #[arg(long)]
    mine: bool,
    /// Only those of this user; for administrators.
    #[arg(long, value_name = "ID", conflicts_with = "mine")]
    user: Option<i64>,
    /// How many to show at most.
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Shows all that the API lists.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

/// What a listing leaves out.
#[derive(Default)]
struct LeftOut {
    /// By the limit.
    hidden: usize,
    /// By the API.
    unlisted: u64,
}

impl Jobs {
    pub(super) async fn run(self, out: Output) -> Result<bool, CliError> {
        let mut list = self.listed(&session::client(out).await?).await?;
        out.note_unreadable(&list);
        let named = (list.jobs.len() + list.skipped.len()) as u64;
        let mut left_out = LeftOut {
            unlisted: list.total.saturating_sub(named),
            hidden: 0,
        };
        if let Some(job_type) = self.job_type.as_ref().map(JobType::from) {
            list.jobs.retain(|details| details.job.job_type == job_type);
        }
        if !self.all {
            left_out.hidden = list.jobs.len().saturating_sub(self.limit);
            list.jobs.truncate(self.limit);
        }
        out.print(&list, |list| table(list, &left_out))?;
        Ok(true)
    }

    /// The newest first.
    async fn listed(&self, client: &Client) -> Result<JobList, ApiError> {
        let mut list = self.ask(client, self.status.clone()).await?;
        let mut jobs = by_id(list.jobs);
        let mut skipped = BTreeSet::from_iter(list.skipped);
        if list.total > jobs.len() as u64 && self.status.is_none() {
            for status in STATUSES {
                let more = self.ask(client, Some(status)).await?;
                jobs.append(&mut by_id(more.jobs));
                skipped.extend(more.skipped);
            }
        }
        list.skipped = skipped.into_iter().collect();
        list.jobs = jobs.into_values().rev().collect();
        Ok(list)
    }

    async fn ask(&self, client: &Client, status: Option<JobStatus>) -> Result<JobList, ApiError> {
        if self.mine {
            return client.my_jobs(status).await;
        }
        let mut filter = JobFilter::default();
        (filter.status, filter.user_id) = (status, self.user);
        client.jobs(&filter).await
    }
}

fn by_id(jobs: Vec<JobDetails>) -> BTreeMap<reefguide_client::job::JobId, JobDetails> {
    let jobs = jobs.into_iter();
    jobs.map(|details| (details.job.id.clone(), details))
        .collect()
}

fn table(list: &JobList, left_out: &LeftOut) -> String {
    let mut table = output::table(&["JOB", "TYPE", "STATUS", "SUBMITTED", "CHANGED"]);
    for JobDetails { job, .. } in &list.jobs {
        table.add_row([
            Cell::new(&job.id),
            Cell::new(&job.job_type),
            output::status_cell(&job.status),
            Cell::new(output::moment(job.created_at)),
            Cell::new(output::moment(job.updated_at)),
        ]);
    }
    let mut text = match list.jobs.is_empty() {
        true => "there are no such jobs".to_owned(),
        false => table.trim_fmt(),
    };
    if left_out.hidden > 0 {
        let _ = write!(text, "\n({} more; --all shows them)", left_out.hidden);
    }
    if left_out.unlisted > 0 {
        let _ = write!(
            text,
            "\n({} more, which the API does not list)",
            left_out.unlisted
        );
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
