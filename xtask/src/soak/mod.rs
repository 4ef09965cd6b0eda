//! `cargo xtask soak`: hundreds of jobs, several workers, and random faults, signals and kills.

mod figures;
mod log;
mod plan;
mod worker;

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use process_tests::work::{WORK, Work};
use reefguide_lab::{Fault, JobTypeSpec, Lab, Outputs, Violation};
use reefguide_worker::ledger::Recovery;
use reefguide_worker::source::reefguide::{Client, ReefGuide};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use self::figures::Figures;
use self::log::LogSummary;
use self::plan::{Ending, Event, WORKERS};
use self::worker::Start;
use crate::failure::{Doing, Failure};
use crate::lab_storage;
use crate::proxy;
use crate::session::{Ended, Session};

/// How long the remaining jobs may take once the faults are gone.
const FINISH_TIMEOUT: Duration = Duration::from_secs(120);
/// Between two progress lines.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);
/// The password of the lab's accounts.
const PASSWORD: &str = "password";

/// Run workers under random faults, signals and kills, and check that every promise was kept
///
/// Four worker processes run a stream of jobs that succeed, fail, panic, take long or abort their process. Meanwhile
/// requests to the API and to storage fail in every way that the lab offers, and workers get SIGTERM, a second SIGTERM or
/// SIGKILL, and are restarted. In the end the faults are removed, a last worker and a recovery finish the remaining jobs,
/// and an audit checks that every job ended once, that outputs are complete and that nothing is left over.
///
/// The seed decides what happens and when, so that a failed run can be repeated. The exit code is 0 if no promise was
/// broken, and 1 otherwise. The logs of all workers stay in `target/soak` until the next soak.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// How long faults occur, in minutes; the end takes up to a minute more
    #[arg(long, default_value_t = 1.0, value_name = "N")]
    minutes: f64,
    /// Seed of the plan of faults [default: random]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
    /// Fail if Cargo.lock is out of date
    #[arg(long)]
    locked: bool,
}

/// Runs the soak.
pub(crate) fn soak(options: &Options) -> Result<(), Ended> {
    proxy::spare_loopback()?;
    let length = Duration::try_from_secs_f64(options.minutes * 60.0)
        .map_err(|_| Failure::new("--minutes must be 0 or more"))?;
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let session = Session::begin("reefguide-soak")?;
    let scratch = session.scratch().to_owned();
    let logs = crate::workspace().join("target/soak");
    match std::fs::remove_dir_all(&logs) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => std::fs::create_dir_all(&logs),
    }
    .doing(format_args!("clearing {}", logs.display()))?;
    session.run(run(&scratch, &logs, length, seed, options.locked))
}

async fn run(
    scratch: &Path,
    logs: &Path,
    length: Duration,
    seed: u64,
    locked: bool,
) -> Result<(), Failure> {
    let program = crate::build::build("process-tests", "soak-worker", scratch, locked).await?;
    let minutes = length.as_secs_f64() / 60.0;
    println!("cargo xtask soak --minutes {minutes} --seed {seed}");
    let lab = Lab::builder()
        .data(scratch.join("lab"))
        .job_type(JobTypeSpec::new(WORK))
        .login_limit(u32::MAX)
        .start()
        .await
        .doing("starting the lab")?;
    let start = Start::new(program, &lab, logs, scratch);
    let mut figures = Figures::default();

    let (endings, kept) = start_all(&start);
    act(&lab, seed, length, &endings, &mut figures).await?;
    drop(endings);
    for exits in kept.join_all().await {
        figures.exits(exits?);
    }
    finish(&lab, &start).await?;
    let recovered = recover(&lab).await?;

    let summary = LogSummary::read(logs)?;
    let violations = audit(&lab, &summary)?;
    figures.print(&lab, &summary, recovered)?;
    lab.shutdown().await;
    if violations.is_empty() {
        println!("violations    0");
        return Ok(());
    }
    let list: Vec<_> = violations.iter().map(ToString::to_string).collect();
    Err(Failure::new(format!(
        "{} violations; seed {seed}\n{}",
        list.len(),
        list.join("\n")
    )))
}

type Endings = Vec<mpsc::UnboundedSender<(Ending, Duration)>>;

/// Keeps a worker running at each place.
fn start_all(start: &Start) -> (Endings, JoinSet<Result<worker::Exits, Failure>>) {
    let mut kept = JoinSet::new();
    let endings = (0..WORKERS).map(|place| {
        let (ending, endings) = mpsc::unbounded_channel();
        kept.spawn(start.clone().keep(place, endings));
        ending
    });
    (endings.collect(), kept)
}

/// Carries out the plan. In the end all faults are removed.
async fn act(
    lab: &Lab,
    seed: u64,
    length: Duration,
    endings: &Endings,
    figures: &mut Figures,
) -> Result<(), Failure> {
    let started = tokio::time::Instant::now();
    let mut reported = Instant::now();
    // The faults that are set, and when each one ends.
    let mut faults = Vec::new();
    let mut plan = plan::plan(seed, length).into_iter().peekable();
    loop {
        let next_event = plan.peek().map(|(at, _)| started + *at);
        let next_end = faults.iter().map(|(until, _)| *until).min();
        let Some(next) = next_event.into_iter().chain(next_end).min() else {
            break;
        };
        sleep_until(next).await;
        for (_, id) in faults.extract_if(.., |(until, _)| *until <= next) {
            figures.fault(lab, id);
        }
        while let Some((_, event)) = plan.next_if(|(at, _)| started + *at <= next) {
            match event {
                Event::Submit(work) => {
                    let payload = serde_json::to_value(work).doing("making a payload")?;
                    lab.submit(WORK, payload).doing("submitting a job")?;
                }
                Event::Fault(route, kind, lasts) => {
                    let id = lab.faults().add(Fault::new(route, kind));
                    faults.push((next + lasts, id));
                }
                Event::ExpireTokens => lab.expire_tokens(),
                Event::End(place, ending, back_after) => {
                    // A worker that is already being ended gets it afterwards.
                    let _ = endings[place].send((ending, back_after));
                }
            }
        }
        if reported.elapsed() > REPORT_INTERVAL {
            reported = Instant::now();
            println!(
                "{:4.0} s  {}",
                started.elapsed().as_secs_f64(),
                figures::statuses(lab)?
            );
        }
    }
    Ok(())
}

/// Runs a worker without faults until all jobs have ended.
async fn finish(lab: &Lab, start: &Start) -> Result<(), Failure> {
    println!("the faults are gone: {}", figures::statuses(lab)?);
    let mut worker = start.process(WORKERS, 0)?;
    let done = |lab: &Lab| {
        let jobs = lab.jobs().unwrap_or_default();
        jobs.iter()
            .all(|job| !matches!(job["status"].as_str(), Some("PENDING" | "IN_PROGRESS")))
    };
    tokio::select! {
        // On a timeout the audit says which jobs are left.
        _ = timeout(FINISH_TIMEOUT, lab.wait_until(done)) => {}
        status = worker.wait() => {
            println!("the last worker ended: {}", status?);
        }
    }
    worker::end(&mut worker, Ending::Terminate).await.map(drop)
}

/// Resolves the claims whose records are left, and returns their number.
async fn recover(lab: &Lab) -> Result<usize, Failure> {
    let account = lab_storage::env(lab, "WORKER_USERNAME");
    let client = Client::builder(lab.api_endpoint(), account, PASSWORD);
    let source = ReefGuide::builder(client.build().doing("making a client")?).build();
    let records = format!("s3://{}/reefguide-worker/records", lab.bucket());
    let records = records.parse().doing("parsing the URI of the records")?;
    let mut recovery =
        Recovery::new(source, lab_storage::of(lab), records).dead_after(Duration::ZERO);
    let report = recovery.sweep().await.doing("recovering claims")?;
    Ok(report.dead.len())
}

fn audit(lab: &Lab, summary: &LogSummary) -> Result<Vec<Violation>, Failure> {
    let mut violations = lab.audit(outputs).doing("auditing the lab")?;
    // A killed worker cannot abort its uploads; the bucket's lifecycle rule does.
    violations.retain(|violation| !violation.to_string().ends_with("is still open"));
    // Outputs that could not be deleted after a refusal of the API or the storage are allowed if the log names them.
    let left: Vec<_> = summary
        .left
        .iter()
        .map(|id| format!(" results/work/{id}/"))
        .collect();
    violations.retain(|violation| {
        let text = violation.to_string();
        violation.invariant() != "leftovers" || !left.iter().any(|place| text.contains(place))
    });
    for (job, claims) in &summary.claims {
        if *claims > 1 {
            violations.push(Violation::new(
                "one-worker",
                format!("job {job} was claimed {claims} times"),
            ));
        }
    }
    for job in lab.jobs().doing("reading the jobs")? {
        if job["status"] == "PENDING" {
            violations.push(Violation::new(
                "progress",
                format!("job {} is still PENDING", job["id"]),
            ));
        }
    }
    Ok(violations)
}

fn outputs(job: &Value) -> Outputs {
    let work = serde_json::from_value::<Work>(job["input_payload"].clone());
    work.map(|work| work.outputs()).unwrap_or_default()
}
