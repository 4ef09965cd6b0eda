//! `watch`.

use std::time::Duration;

use clap::Args;
use reefguide_client::job::{JobId, JobStatus};
use reefguide_client::{Client, JobDetails};

use crate::error::CliError;
use crate::output::{self, Output};
use crate::watch::{Pauses, watch_jobs};
use crate::{input, session};

const PAUSES: Pauses = Pauses {
    request: Duration::from_millis(100),
    round: Duration::from_secs(2),
};

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// The jobs.
    #[arg(value_name = "ID", required = true, value_parser = input::job_id())]
    ids: Vec<JobId>,
}

impl Watch {
    pub(super) async fn run(self, out: Output) -> Result<bool, CliError> {
        let client = session::client(out).await?;
        let mut ids = self.ids;
        ids.sort();
        ids.dedup();
        print_changes(&client, ids, out).await
    }
}

/// Prints each change of these jobs until all have ended, and returns whether all succeeded.
pub(super) async fn print_changes(
    client: &Client,
    ids: Vec<JobId>,
    out: Output,
) -> Result<bool, CliError> {
    let mut all_succeeded = true;
    let show = |details: &JobDetails| {
        let status = &details.job.status;
        all_succeeded &= !status.is_final() || *status == JobStatus::Succeeded;
        Ok::<_, CliError>(out.print_line(details, describe)?)
    };
    watch_jobs(client, ids, PAUSES, out, show).await?;
    Ok(all_succeeded)
}

fn describe(details: &JobDetails) -> String {
    let JobDetails {
        job, assignments, ..
    } = details;
    let status = output::status(&job.status);
    let result = assignments.iter().find_map(|held| held.result.as_ref());
    let payload = result.map(|result| &result.result_payload);
    match payload.filter(|payload| job.status.is_final() && !payload.is_null()) {
        Some(payload) => format!("job {} is {status}: {payload}", job.id),
        None => format!("job {} is {status}", job.id),
    }
}
