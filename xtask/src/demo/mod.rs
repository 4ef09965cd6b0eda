//! `cargo demo`: a worker, a lab and some jobs, from nothing to files on disk.

mod jobs;
mod lab;
mod print;
mod results;
mod size;
mod soundings;
mod table;
mod tree;
mod view;
mod worker;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use reefguide_cli::{FetchOptions, Output, fetch_outputs};
use reefguide_worker::job::JobStatus;
use reefguide_worker::source::reefguide::Client;
use tokio::time::timeout;

use self::jobs::{Job, Outputs};
use self::print::{say, step};
use self::results::Results;
use self::worker::Worker;
use crate::failure::{Doing, Failure};
use crate::proxy;
use crate::session::{Ended, Session};

/// How long everything after the build may take. It takes about five seconds.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Shows a worker at work: builds the example worker, runs it against a lab and submits jobs
///
/// The lab is the ReefGuide job API and an S3 server on free ports of this machine. You need neither a network nor an
/// account. Some of the jobs are bad, so that you see how jobs fail.
///
/// The outputs of the jobs and the worker's log stay in a folder. Everything else is removed when the demo ends, also
/// with Ctrl-C. The exit code is 0 if every job ended as it should. Otherwise it is 1, and the demo prints the reason and
/// the end of the worker's log.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Folder for the outputs and the worker's log, which must not exist [default: target/demo, which each demo
    /// replaces]
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Builds with the versions in Cargo.lock, or fails
    #[arg(long)]
    locked: bool,
}

/// Runs the demo.
pub(crate) fn demo(options: Options) -> Result<(), Ended> {
    proxy::spare_loopback()?;
    let session = Session::begin("reefguide-demo")?;
    let results = Results::create(options.keep)?;
    let scratch = session.scratch().to_owned();
    let done = session.run(show(&scratch, results.folder(), options.locked));
    // The results of an interrupted demo are removed.
    if !matches!(done, Err(Ended::Signalled { .. })) {
        results.keep();
    }
    done
}

async fn show(scratch: &Path, results: &Path, locked: bool) -> Result<(), Failure> {
    let program = worker::build(scratch, locked).await?;
    let log = results.join("worker.log");
    let shown = timeout(TIME_LIMIT, run(&program, scratch, results, &log)).await;
    shown
        .unwrap_or_else(|_| {
            let limit = TIME_LIMIT.as_secs();
            Err(Failure::new(format!(
                "the demo did not end within {limit} s"
            )))
        })
        .map_err(|failure| match worker::tail(&log) {
            Some(tail) => Failure::new(format!(
                "{failure}\n\nThe end of {}:\n{tail}",
                results::shown(&log)
            )),
            None => failure,
        })
}

async fn run(program: &Path, scratch: &Path, results: &Path, log: &Path) -> Result<(), Failure> {
    let started = Instant::now();
    let lab = lab::start(program, scratch).await?;
    step(
        "lab",
        format_args!("API {}   S3 {}", lab.api_endpoint(), lab.s3_endpoint()),
    );

    let inputs = soundings::upload(&lab).await?;
    step("inputs", format_args!("{}", inputs.soundings));

    let client = Client::builder(lab.api_endpoint(), lab::SUBMITTER, lab::PASSWORD)
        .build()
        .doing("making a client")?;
    let mut jobs = Vec::new();
    for plan in jobs::plan(&inputs) {
        jobs.extend(jobs::submit(&client, plan).await?);
    }
    step(
        "submitter",
        format_args!("{}, {} jobs", lab::SUBMITTER, jobs.len()),
    );

    let mut worker = Worker::start(program, &lab, scratch, log)?;
    step(
        "worker",
        format_args!("process {}, log in {}", worker.id(), results::shown(log)),
    );

    say("");
    tokio::select! {
        watched = view::show_until_ended(&client, &mut jobs) => watched?,
        ended = worker.ended_early() => return Err(ended),
    }

    for job in &mut jobs {
        download(&client, job, results).await?;
    }
    let reasons = worker::failure_reasons(log)?;
    let table = table::table(&jobs, &reasons, lab.bucket())?;
    say(format_args!("\n{table}\n"));
    say(tree::tree(results)?);

    worker.stop().await?;
    lab.shutdown().await;
    for job in &jobs {
        job.check()?;
    }
    let seconds = started.elapsed().as_secs_f64();
    say(format_args!(
        "All jobs ended as they should, and the worker stopped on SIGTERM: {seconds:.1} s."
    ));
    Ok(())
}

/// Downloads the outputs of a job that has succeeded into its own folder below `results`.
async fn download(client: &Client, job: &mut Job, results: &Path) -> Result<(), Failure> {
    if job.status != JobStatus::Succeeded {
        return Ok(());
    }
    let folder = results.join(format!("{}-{}", job.id, job.job_type.to_lowercase()));
    let options = FetchOptions::default();
    let files = fetch_outputs(client, &job.id, &folder, options, Output::default())
        .await
        .doing(format_args!("downloading the outputs of job {}", job.id))?;
    job.outputs = Outputs {
        files: files.len(),
        bytes: files.iter().map(|file| file.bytes).sum(),
    };
    Ok(())
}
