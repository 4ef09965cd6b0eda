//! `submit`.

use std::cell::Cell;
use std::time::Duration;

use clap::Args;
use reefguide_client::job::{JobId, JobType};
use reefguide_client::{Client, CreatedJob};
use reefguide_terminal::{Bar, Position};
use serde::Serialize;
use serde_json::Value;
use tokio::time::MissedTickBehavior;

use super::watch::print_changes;
use crate::batch::{self, BatchError, BatchJob};
use crate::error::CliError;
use crate::input::read_text;
use crate::output::Output;
use crate::retry::with_retries;
use crate::session;

#[derive(Debug, Args)]
pub(crate) struct Submit {
    /// The job type, such as TEST; a batch can name it in each line instead.
    #[arg(value_name = "TYPE", required_unless_present = "batch")]
    job_type: Option<String>,
    /// The payload: a file, `-` for stdin, or JSON.
    #[arg(
        long,
        value_name = "FILE|-|JSON",
        default_value = "{}",
        conflicts_with = "batch"
    )]
    input: String,
    /// Submits a job for each line of a file, or of stdin.
    #[arg(long, value_name = "FILE|-")]
    batch: Option<String>,
    /// Submits at most this many jobs of a batch per second. The API handles about 50 requests per second in total.
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 10.0,
        value_parser = batch::rate,
        requires = "batch"
    )]
    rate: f64,
    /// Skips the first N jobs of a batch, which were submitted before.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "batch")]
    skip: usize,
    /// Waits until all jobs have ended and prints each change; the exit code is 1 unless all succeeded.
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
                let jobs = batch::read(from, job_type.as_ref(), self.skip)?;
                let client = session::client(out).await?;
                let ids = submit_batch(&client, &jobs, self.skip, self.rate, out).await?;
                (client, ids)
            }
        };
        match self.watch {
            true => print_changes(&client, ids, out).await,
            false => Ok(true),
        }
    }
}

fn payload(input: &str) -> Result<Value, CliError> {
    let wrong = |source| CliError::Payload {
        from: input.to_owned(),
        source,
    };
    let text = match input.trim_start().starts_with(['{', '[']) {
        true => input.to_owned(),
        false => read_text(input).map_err(|error| wrong(error.into()))?,
    };
    serde_json::from_str(&text).map_err(|error| wrong(error.into()))
}

async fn submit(
    client: &Client,
    job_type: &JobType,
    payload: &Value,
    out: Output,
) -> Result<JobId, CliError> {
    let created = client.create_job(job_type, payload).await?;
    if created.cached && !out.json {
        // Not on stdout, where scripts read the id.
        out.note(format_args!("an equal job exists already"));
    }
    let id = created.job_id.clone();
    out.print_line(&created, |_| id.to_string())
        .map_err(CliError::unprinted(format!("job {id} is submitted")))?;
    Ok(id)
}

/// What is printed about a job of a batch.
#[derive(Serialize)]
struct Submitted {
    line: usize,
    #[serde(flatten)]
    created: CreatedJob,
}

/// Submits the jobs of a batch after the first `skip` in order, at most `rate` per second, and prints the id of each.
async fn submit_batch(
    client: &Client,
    jobs: &[BatchJob],
    skip: usize,
    rate: f64,
    out: Output,
) -> Result<Vec<JobId>, CliError> {
    let tally = Tally {
        submitted: Cell::new(skip),
        of: jobs.len(),
        out,
    };
    let bar = Bar::stderr();
    let (stdout, stderr) = (bar.above(std::io::stdout), bar.above(std::io::stderr));
    let mut pace = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let work = async {
        let mut ids = Vec::new();
        for job in &jobs[skip..] {
            pace.tick().await;
            let line = job.line;
            let request = async || client.create_job(&job.job_type, &job.payload).await;
            let created = with_retries(request, |note| out.note_on(stderr(), note)).await;
            let created = created.map_err(|source| BatchError::Refused { line, source })?;
            tally.submitted.set(tally.submitted.get() + 1);
            let id = created.job_id.clone();
            let submitted = Submitted { line, created };
            out.print_line_on(stdout(), &submitted, |_| id.to_string())
                .map_err(CliError::unprinted(format!(
                    "job {id} of line {line} is submitted"
                )))?;
            ids.push(id);
        }
        Ok(ids)
    };
    let position = || Position {
        done: tally.submitted.get() as u64,
        of: tally.of as u64,
        message: format!("{} of {} jobs", tally.submitted.get(), tally.of),
    };
    bar.counting(position, work).await
}

/// How many jobs of a batch are submitted. Dropped before all of them are, it prints how to continue.
struct Tally {
    submitted: Cell<usize>,
    of: usize,
    out: Output,
}

impl Drop for Tally {
    fn drop(&mut self) {
        let (submitted, of) = (self.submitted.get(), self.of);
        if submitted < of {
            self.out.note(format_args!(
                "{submitted} of {of} jobs are submitted; continue with --skip {submitted}"
            ));
        }
    }
}
