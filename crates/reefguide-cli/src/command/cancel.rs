//! `cancel`.

use std::collections::VecDeque;
use std::time::Duration;

use clap::Args;
use reefguide_client::job::{JobId, JobStatus};
use reefguide_client::{Client, JobDetails, JobRecord};
use serde::Serialize;

use crate::error::CliError;
use crate::output::{self, Output};
use crate::retry::with_retries;
use crate::{input, session};

/// How long after a cancellation to check the job. The API reads a job, checks its status and writes it back: a claim
/// that read the job before the cancellation overwrites it, and has done so by then.
const CHECK_AFTER: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// The jobs.
    #[arg(value_name = "ID", required = true, value_parser = input::job_id())]
    ids: Vec<JobId>,
}

impl Cancel {
    /// Cancels the jobs up to the first one that cannot be cancelled, and then checks those before it.
    pub(super) async fn run(self, out: Output) -> Result<bool, CliError> {
        let client = session::client(out).await?;
        let mut unchecked = Unchecked {
            jobs: VecDeque::new(),
            out,
        };
        let mut cancelled = Ok(());
        for id in self.ids {
            if unchecked.jobs.contains(&id) {
                continue;
            }
            match client.cancel(&id).await {
                Ok(_) => unchecked.jobs.push_back(id),
                Err(error) => {
                    cancelled = Err(error);
                    break;
                }
            }
        }
        let mut all = true;
        if !unchecked.jobs.is_empty() {
            tokio::time::sleep(CHECK_AFTER).await;
        }
        while let Some(id) = unchecked.jobs.front() {
            let job = CancelledJob::check(&client, id, out).await?;
            all &= job.cancelled;
            unchecked.jobs.pop_front();
            out.print_line(&job, CancelledJob::describe)
                .map_err(CliError::unprinted(job.describe()))?;
        }
        cancelled?;
        Ok(all)
    }
}

/// The state of a job after the API has reported it as cancelled.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CancelledJob {
    #[serde(flatten)]
    job: JobRecord,
    /// Whether no worker has claimed it.
    cancelled: bool,
    /// The worker that claimed it at the same moment.
    claimed_by: Option<String>,
}

impl CancelledJob {
    async fn check(client: &Client, id: &JobId, out: Output) -> Result<Self, CliError> {
        let request = async || client.job(id).await;
        let JobDetails {
            job, assignments, ..
        } = with_retries(request, |note| out.note(note)).await?;
        // An assignment of a cancelled job that has ended is an earlier one, after which the job was pending again.
        let status = &job.status;
        let claims = assignments.into_iter();
        let claims =
            claims.filter(|claim| *status != JobStatus::Cancelled || claim.completed_at.is_none());
        let claim = claims.min_by_key(|claim| claim.id.clone());
        let claimed_by = claim.map(|claim| claim.ecs_task_arn);
        Ok(Self {
            cancelled: job.status == JobStatus::Cancelled
                && claimed_by.is_none()
                && job.unreadable.is_none(),
            job,
            claimed_by,
        })
    }

    fn describe(&self) -> String {
        let JobRecord { id, status, .. } = &self.job;
        let shown = output::status(status);
        let worker = match (self.claimed_by.as_deref(), &self.job.unreadable) {
            (None, None) => return format!("job {id} is {shown}"),
            (None, Some(reason)) => {
                return format!("job {id} is {shown}, as far as it can be read: {reason}");
            }
            (Some(""), _) => "a worker",
            (Some(worker), _) => worker,
        };
        match status {
            JobStatus::Cancelled => format!(
                "job {id} is {shown}, but {worker} claimed it at the same moment: if it reports a result, the result \
                 counts"
            ),
            status if status.is_final() => {
                format!("job {id} is {shown}: {worker} claimed it at the same moment")
            }
            _ => format!(
                "job {id} is still running, {shown}: {worker} claimed it at the same moment"
            ),
        }
    }
}

/// Jobs that were cancelled and not checked yet. Dropped before all of them are, it names them.
struct Unchecked {
    jobs: VecDeque<JobId>,
    out: Output,
}

impl Drop for Unchecked {
    fn drop(&mut self) {
        for id in &self.jobs {
            self.out.note(format_args!(
                "job {id}: the API has cancelled it, but a worker may have claimed it at the same moment; check with \
                 `reefguide show {id}`"
            ));
        }
    }
}
