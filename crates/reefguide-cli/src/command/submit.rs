//! `submit`.

use clap::Args;
use reefguide_client::Client;
use reefguide_client::job::{JobId, JobType};
use serde_json::Value;

use super::batch::{self, Batch};
use super::watch::until_ended;
use crate::error::CliError;
use crate::input::text;
use crate::output::Output;
use crate::session;

#[derive(Debug, Args)]
pub(crate) struct Submit {
    /// The job type, such as TEST; a batch may name it in its lines instead.
    #[arg(value_name = "TYPE", required_unless_present = "batch")]
    job_type: Option<String>,
    /// The payload: a file, `-` for stdin, or JSON itself.
    #[arg(
        long,
        value_name = "FILE|-|JSON",
        default_value = "{}",
        conflicts_with = "batch"
    )]
    input: String,
    /// Submits each line of a file, or of stdin.
    #[arg(long, value_name = "FILE|-")]
    batch: Option<String>,
    /// How many jobs of a batch to submit in a second at most. The API bears some 50 requests of all who use it.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 10.0,
        value_parser = batch::rate,
        requires = "batch"
    )]
    rate: f64,
    /// Leaves out the first jobs of a batch, which were submitted before.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "batch")]
    skip: usize,
    /// Waits for the end of all jobs and tells each change; the exit code is 1 unless all succeeded.
    #[arg(long)]
    watch: bool,
}

impl Submit {
    pub(super) async fn run(self, out: Output) -> Result<bool, CliError> {
        let job_type = self.job_type.as_ref().map(JobType::from);
        let (client, ids) = match (&self.batch, job_type) {
            (None, Some(job_type)) => {
                let payload = payload(&self.input)?;
                let client = session::client(out).await?;
                let id = submit(&client, &job_type, &payload, out).await?;
                (client, vec![id])
            }
            (batch, job_type) => {
                let from = batch.as_deref().unwrap_or("-");
                let batch = Batch::read(from, job_type.as_ref(), self.skip)?;
                let client = session::client(out).await?;
                let ids = batch.submit(&client, self.rate, out).await?;
                (client, ids)
            }
        };
        match self.watch {
            true => until_ended(&client, ids, out).await,
            false => Ok(true),
        }
    }
}

async fn submit(
    client: &Client,
    job_type: &JobType,
    payload: &Value,
    out: Output,
) -> Result<JobId, CliError> {
    let created = client.create_job(job_type, payload).await?;
    if created.cached && !out.json {
        // Not on stdout, where a script reads the id.
        out.note(format_args!("an equal job exists already"));
    }
    let id = created.job_id.clone();
    out.print_line(&created, |created| created.job_id.to_string())
        .map_err(CliError::untold(format!("job {id} is submitted")))?;
    Ok(id)
}

fn payload(input: &str) -> Result<Value, CliError> {
    let wrong = |source| CliError::Payload {
        from: input.to_owned(),
        source,
    };
    let text = match input.trim_start().starts_with(['{', '[']) {
        true => input.to_owned(),
        false => text(input).map_err(|error| wrong(error.into()))?,
    };
    serde_json::from_str(&text).map_err(|error| wrong(error.into()))
}
