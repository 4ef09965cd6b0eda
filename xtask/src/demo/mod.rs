//! `cargo demo`: a worker, a lab and a mixture of jobs, from nothing to files on disk.

mod download;
mod jobs;
mod lab;
mod results;
mod size;
mod soundings;
mod table;
mod tree;
mod watch;
mod worker;

use std::fmt::{Arguments, Display};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use reefguide_worker::source::reefguide::Client;
use tokio::time::timeout;

use self::results::Results;
use self::watch::View;
use self::worker::Worker;
use crate::failure::{Doing, Failure};
use crate::proxy;
use crate::session::{Ended, Session};

/// How long everything after the build may take; it takes some five seconds.
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Shows a worker at work: builds the example worker, runs it against a lab and gives it jobs
///
/// The lab is the ReefGuide job API and an S3 server on free ports of this machine; nothing else is
/// needed, no network and no account. Some of the jobs are bad, to show what becomes of such.
///
/// The outputs of the jobs and the worker's log are left in a folder to look at. Everything else goes
/// when the demo ends, also when Ctrl-C ends it. It exits with 0 if every job ended as it should, and
/// with 1, a reason and the end of the worker's log otherwise.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Folder for the outputs and the worker's log; it must not exist yet [default: target/demo,
    /// replaced by every demo]
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Build as Cargo.lock says, or fail
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
    // An interrupted demo takes its results with it.
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
                "the demo was not over after {limit} s"
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
    for planned in jobs::mixture(&inputs) {
        jobs.extend(jobs::submit(&client, planned).await?);
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
    let mut view = View::new(&jobs);
    tokio::select! {
        watched = watch::until_all_ended(&client, &mut jobs, &mut view) => watched?,
        ended = worker.ended_early() => return Err(ended),
    }
    drop(view);

    let mut rows = Vec::new();
    let reasons = worker::failure_reasons(log)?;
    for job in &jobs {
        let files = download::outputs(&client, job, results).await?;
        rows.push(table::Row::new(job, &files, &reasons)?);
    }
    say(format_args!("\n{}\n", table::table(&rows, lab.bucket())));
    say(tree::tree(results)?);

    worker.stop().await?;
    lab.shutdown().await;
    for (job, row) in jobs.iter().zip(&rows) {
        job.check(row.files())?;
    }
    let seconds = started.elapsed().as_secs_f64();
    say(format_args!(
        "All jobs ended as they should, and the worker stopped on SIGTERM: {seconds:.1} s."
    ));
    Ok(())
}

/// One line of what was set up.
fn step(what: &str, how: Arguments<'_>) {
    say(format_args!("{what:<10} {how}"));
}

/// Prints a line; that nobody reads it any more does not end the demo.
fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
