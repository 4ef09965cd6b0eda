//! `show`.

use std::fmt::Write;

use clap::Args;
use reefguide_client::JobDetails;
use reefguide_client::job::JobId;

use crate::error::CliError;
use crate::output::{self, Output};
use crate::{input, session};

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The job.
    #[arg(value_parser = input::job_id())]
    id: JobId,
}

impl Show {
    pub(super) async fn run(self, out: Output) -> Result<bool, CliError> {
        let job = session::client(out).await?.job(&self.id).await?;
        out.print(&job, describe)?;
        Ok(true)
    }
}

/// Describes a job and its assignments.
fn describe(details: &JobDetails) -> String {
    let JobDetails {
        job, assignments, ..
    } = details;
    let status = output::status(&job.status);
    let mut text = format!("job {}  {}  {status}\n", job.id, job.job_type);
    if job.created_at.is_some() {
        let _ = writeln!(text, "submitted  {}", output::timestamp(job.created_at));
    }
    match &job.unreadable {
        Some(why) => writeln!(text, "payload    cannot be read: {why}"),
        None => writeln!(text, "payload    {}", job.input_payload),
    }
    .ok();
    for assignment in assignments {
        let _ = writeln!(
            text,
            "\nassignment {} of {}",
            assignment.id, assignment.ecs_task_arn
        );
        let times = [
            ("claimed  ", assignment.created_at),
            ("lease to ", assignment.expires_at),
            ("ended    ", assignment.completed_at),
        ];
        for (what, at) in times.iter().filter(|(_, at)| at.is_some()) {
            let _ = writeln!(text, "{what}  {}", output::timestamp(*at));
        }
        let _ = writeln!(text, "outputs    {}", assignment.storage_uri);
        let result = assignment.result.as_ref();
        if let Some(why) = result.and_then(|result| result.unreadable.as_ref()) {
            let _ = writeln!(text, "result     {why}");
        }
        if let Some(result) = result.filter(|result| !result.result_payload.is_null()) {
            let _ = writeln!(text, "result     {}", result.result_payload);
        }
    }
    text.truncate(text.trim_end().len());
    text
}
