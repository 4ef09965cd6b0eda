//! `watch`: until jobs have ended.

use std::time::Duration;

use clap::Args;
use reefguide_client::job::{JobId, JobStatus};
use reefguide_client::{Client, JobDetails};

use crate::error::CliError;
use crate::output::{self, Output};
use crate::patience::patiently;
use crate::session;

/// Between two looks at all jobs.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Between two questions to the API.
const PACE: Duration = Duration::from_millis(100);

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// The jobs.
    #[arg(value_name = "ID", required = true, value_parser = clap::value_parser!(i64).range(1..))]
    ids: Vec<i64>,
}

impl Watch {
    pub(super) async fn run(self, out: Output) -> Result<bool, CliError> {
        let client = session::client(out).await?;
        let mut ids: Vec<_> = self.ids.into_iter().map(JobId::from).collect();
        ids.sort();
        ids.dedup();
        until_ended(&client, ids, out).await
    }
}

/// Tells each change of these jobs until all have ended; whether all succeeded.
pub(super) async fn until_ended(
    client: &Client,
    ids: Vec<JobId>,
    out: Output,
) -> Result<bool, CliError> {
    let mut watched: Vec<(JobId, Option<JobStatus>)> =
        ids.into_iter().map(|id| (id, None)).collect();
    let mut all_succeeded = true;
    loop {
        let mut under_way = Vec::new();
        for (id, seen) in watched {
            let job = patiently(async || client.job(&id).await, |note| out.note(note)).await?;
            let status = job.job.status.clone();
            if seen.as_ref() != Some(&status) {
                out.print_line(&job, told)?;
            }
            match status.is_final() {
                true => all_succeeded &= status == JobStatus::Succeeded,
                false => under_way.push((id, Some(status))),
            }
            tokio::time::sleep(PACE).await;
        }
        if under_way.is_empty() {
            return Ok(all_succeeded);
        }
        watched = under_way;
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn told(details: &JobDetails) -> String {
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
