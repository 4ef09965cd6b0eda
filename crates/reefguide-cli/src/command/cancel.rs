//! `cancel`.

use std::collections::VecDeque;
use std::time::Duration;

use clap::Args;
use reefguide_client::job::{JobId, JobStatus};
use reefguide_client::{Client, JobDetails, JobRecord};
use serde::Serialize;

use crate::error::CliError;
use crate::output::{self, Output};
use crate::patience::patiently;
use crate::session;

/// After how long a claim of the moment at which a job was withdrawn is seen. The API reads a job, checks its status
/// and writes; a claim that has read it before it was withdrawn is written over that.
const SETTLE: Duration = Duration::from_secs(1);

#[derive(Debug, Args)]
pub(crate) struct Cancel {
    /// The jobs.
    #[arg(value_name = "ID", required = true, value_parser = clap::value_parser!(i64).range(1..))]
    ids: Vec<i64>,
}

impl Cancel {
    /// The first job that cannot be withdrawn ends it; what has become of those before is told all the same.
    pub(super) async fn run(self, out: Output) -> Result<bool, CliError> {
        let client = session::client(out).await?;
        let mut untold = Untold {
            jobs: VecDeque::new(),
            out,
        };
        let mut withdrawn = Ok(());
        for id in self.ids.into_iter().map(JobId::from) {
            if untold.jobs.contains(&id) {
                continue;
            }
            match client.cancel(&id).await {
                Ok(_) => untold.jobs.push_back(id),
                Err(error) => {
                    withdrawn = Err(error);
                    break;
                }
            }
        }
        let mut all = true;
        if !untold.jobs.is_empty() {
            tokio::time::sleep(SETTLE).await;
        }
        while let Some(id) = untold.jobs.front() {
            let cancelled = Cancelled::look(&client, id, out).await?;
            all &= cancelled.cancelled;
            untold.jobs.pop_front();
            let printed = out.print_line(&cancelled, Cancelled::said);
            printed.map_err(CliError::untold(cancelled.said()))?;
        }
        withdrawn?;
        Ok(all)
    }
}

/// What has become of a job that the API said to be withdrawn.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cancelled {
    #[serde(flatten)]
    job: JobRecord,
    /// Whether nothing can come of it any more.
    cancelled: bool,
    /// The worker that claimed it at the same moment.
    claimed_by: Option<String>,
}

impl Cancelled {
    async fn look(client: &Client, id: &JobId, out: Output) -> Result<Self, CliError> {
        let look = async || client.job(id).await;
        let JobDetails {
            job, assignments, ..
        } = patiently(look, |note| out.note(note)).await?;
        // One that has ended was before: its job was put back.
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

    fn said(&self) -> String {
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
                "job {id} is {shown}, but {worker} claimed it at the same moment: if it reports a result, that counts"
            ),
            status if status.is_final() => {
                format!("job {id} is {shown}: {worker} claimed it at the same moment")
            }
            _ => format!("job {id} runs on, {shown}: {worker} claimed it at the same moment"),
        }
    }
}

/// Jobs that were withdrawn and not looked at; told if it ends before, for whatever reason.
struct Untold {
    jobs: VecDeque<JobId>,
    out: Output,
}

impl Drop for Untold {
    fn drop(&mut self) {
        for id in &self.jobs {
            self.out.note(format_args!(
                "job {id}: the API has cancelled it, and a worker may have claimed it at the same moment; see \
                 `reefguide show {id}`"
            ));
        }
    }
}
