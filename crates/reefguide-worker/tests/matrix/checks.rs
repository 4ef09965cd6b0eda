//! What must hold after a case, beyond the checks of the lab's own audit.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use reefguide_lab::{FaultKind, Outputs, RequestRecord, Route, Side, Violation};
use reefguide_worker::Chain;
use reefguide_worker::runtime::{StopReason, Stopped};
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep};

use crate::case::{CallFailure, Case, Event};
use crate::run::{Bench, SLOW_REFRESH, WORKERS};
use crate::work::Work;

/// How long background work of a worker may take: removing outputs, closing connections.
const SETTLED_WITHIN: Duration = Duration::from_secs(15);
/// How long after its sender stops a request may still arrive.
const ON_ITS_WAY: Duration = Duration::from_millis(250);

/// Checks everything, now that the workers have stopped.
pub(crate) async fn after(
    case: &Case,
    bench: &Bench,
    stopped: &[Stopped],
    workers: &Handle,
    violations: &mut Vec<Violation>,
) {
    let over = Timestamp::now();
    if bench.struck() == 0 {
        let what = "no call hit the fault: the case tests nothing";
        violations.push(Violation::new("struck", what));
    }
    bench.lab.faults().clear();
    cleaned_up(bench, workers, violations).await;
    let requests = bench.lab.requests();
    run_by_one(bench, violations);
    counts(bench, stopped, violations);
    progress(case, bench, stopped, violations);
    sessions(case, &requests, violations);
    let late =
        |request: &&RequestRecord| request.side == Side::Api && began(request) > over + ON_ITS_WAY;
    if let Some(RequestRecord { method, path, .. }) = requests.iter().find(late) {
        let what = format!("{method} {path} came after the workers had stopped");
        violations.push(Violation::new("silence", what));
    }
    recovered(bench, violations).await;
    violations.extend(bench.lab.audit(outputs).unwrap());
    if (case.route, case.failure) == (Route::Result, CallFailure::Status(400)) {
        // The outputs of a job whose result was refused are kept for inspection.
        let failed: Vec<_> = bench
            .jobs
            .iter()
            .filter(|id| bench.status(**id) == "FAILED")
            .map(|id| format!(" results/work/{id}/"))
            .collect();
        violations.retain(|violation| {
            let text = violation.to_string();
            violation.invariant() != "leftovers" || !failed.iter().any(|place| text.contains(place))
        });
    }
}

/// The records have what the workers left undone, and a recovery resolves it.
async fn recovered(bench: &Bench, violations: &mut Vec<Violation>) {
    let mut recovery = bench.recovery();
    let records = recovery.records().await.unwrap();
    let recorded: Vec<_> = records
        .iter()
        .map(|(_, record)| record.as_ref().unwrap().job_id.to_string())
        .collect();
    for job in &bench.jobs {
        if bench.status(*job) == "IN_PROGRESS" && !recorded.contains(&job.to_string()) {
            let what = format!("job {job} is IN_PROGRESS, and no record says so");
            violations.push(Violation::new("recorded", what));
        }
    }
    for (record, resolved) in recovery.sweep().await.unwrap().dead {
        if let Err(error) = resolved {
            let what = format!("job {} is not resolved: {}", record.job_id, Chain(&error));
            violations.push(Violation::new("recovered", what));
        }
    }
}

/// Which outputs a job must have.
pub(crate) fn outputs(job: &Value) -> Outputs {
    let work: Work = serde_json::from_value(job["input_payload"].clone()).unwrap();
    work.outputs()
}

fn began(request: &RequestRecord) -> Timestamp {
    request.at.parse::<Timestamp>().unwrap() - Duration::from_millis(request.ms)
}

/// Nothing is left in the process or on disk: no task, no connection, no folder.
async fn cleaned_up(bench: &Bench, workers: &Handle, violations: &mut Vec<Violation>) {
    let scratch = || std::fs::read_dir(bench.scratch.path()).unwrap().count();
    let left = || {
        [
            ("tasks", workers.metrics().num_alive_tasks()),
            ("connections", bench.lab.connections()),
            ("scratch", scratch()),
        ]
    };
    let since = Instant::now();
    while left().iter().any(|(_, count)| *count > 0) && since.elapsed() < SETTLED_WITHIN {
        sleep(Duration::from_millis(10)).await;
    }
    for (invariant, count) in left() {
        if count > 0 {
            violations.push(Violation::new(invariant, format!("{count} left over")));
        }
    }
}

fn run_by_one(bench: &Bench, violations: &mut Vec<Violation>) {
    let mut runners = BTreeMap::<_, Vec<_>>::new();
    for (job, worker) in bench.runs.lock().unwrap().iter() {
        let runners = runners.entry(job.to_string()).or_default();
        if !runners.contains(worker) {
            runners.push(*worker);
        }
    }
    for (job, runners) in runners.into_iter().filter(|(_, runners)| runners.len() > 1) {
        violations.push(Violation::new(
            "one-worker",
            format!("job {job} was run by workers {runners:?}"),
        ));
    }
}

/// The workers and the server count the same.
fn counts(bench: &Bench, stopped: &[Stopped], violations: &mut Vec<Violation>) {
    let server = |status: &str| {
        bench
            .jobs
            .iter()
            .filter(|id| bench.status(**id) == status)
            .count() as u64
    };
    let workers = |count: fn(&Stopped) -> u64| stopped.iter().map(count).sum::<u64>();
    let delivered = workers(|s| s.jobs.succeeded + s.jobs.failed + s.jobs.recovered);
    let ended = server("SUCCEEDED") + server("FAILED");
    let succeeded = workers(|s| s.jobs.succeeded);
    if delivered != ended || succeeded > server("SUCCEEDED") {
        let counts: Vec<_> = stopped.iter().map(|stopped| stopped.jobs).collect();
        let what = format!("{counts:?}, but there is {}", bench.statuses());
        violations.push(Violation::new("counts", what));
    }
}

/// Every job ended, unless the workers were asked to stop or their account was refused.
fn progress(case: &Case, bench: &Bench, stopped: &[Stopped], violations: &mut Vec<Violation>) {
    let turned_away = stopped
        .iter()
        .all(|stopped| matches!(stopped.reason, StopReason::Denied(_)));
    let waits = bench.jobs.iter().any(|id| bench.status(*id) == "PENDING");
    if waits && case.event != Event::Sigterm && !turned_away {
        violations.push(Violation::new("progress", bench.statuses()));
    }
}

/// A token is replaced once, even if many tasks need another one, and no worker logs in that could refresh.
fn sessions(case: &Case, requests: &[RequestRecord], violations: &mut Vec<Violation>) {
    let count = |route, is: &dyn Fn(&RequestRecord) -> bool| {
        requests
            .iter()
            .filter(|request| request.route == route && is(request))
            .count()
    };
    let expired = requests
        .iter()
        .any(|request| request.fault.as_deref() == Some("tokens expired"));
    let struck = requests
        .iter()
        .filter(|request| request.fault.is_some() && request.route == case.route)
        .count();
    // A token that the API refused counts as expired.
    let turned_down = if case.failure == CallFailure::Status(401) {
        struck
    } else {
        0
    };
    let ends = WORKERS * usize::from(expired) + turned_down;
    // A refresh that is cut off together with the call that asked for it, as when its job ends, is made again by the
    // next task that needs a token.
    let again = WORKERS;
    let slow = FaultKind::Delay {
        ms: SLOW_REFRESH.as_millis().try_into().unwrap(),
    };
    let good = |request: &RequestRecord| {
        let fault = request.fault.as_ref();
        fault.is_none_or(|fault| *fault == slow.to_string())
    };
    let refreshed = count(Route::Token, &good);
    if refreshed > ends + again {
        violations.push(Violation::new(
            "refresh",
            format!("{refreshed} refreshes for {ends} ends of a token"),
        ));
    }
    let refused = count(Route::Token, &|request| !good(request));
    let logins = count(Route::Login, &|request| request.fault.is_none());
    if logins > WORKERS + refused {
        violations.push(Violation::new(
            "logins",
            format!("{logins} logins of {WORKERS} workers, {refused} refreshes failed"),
        ));
    }
}

/// The child processes that still run, except for the shell that ends programs together with this process.
pub(crate) fn children() -> Vec<String> {
    let is_guard = |id: &String| {
        let command = std::fs::read_to_string(format!("/proc/{id}/cmdline"));
        command.is_ok_and(|command| command.contains("REEFGUIDE_WORKER_GUARD="))
    };
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let children = threads
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    children
        .flat_map(|list| {
            list.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .filter(|id| !is_guard(id))
        .collect()
}
