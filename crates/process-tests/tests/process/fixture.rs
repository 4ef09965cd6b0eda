//! Labs, workers for them, and the comparison of their output with snapshots.

use reefguide_lab::Lab;
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::program::{Exited, Program, in_time};

/// What differs between runs, and its placeholder.
pub(crate) const FILTERS: &[(&str, &str)] = &[
    (r"127\.0\.0\.1:\d+", "127.0.0.1:[port]"),
    (r"on port \d+", "on port [port]"),
    (r"(local/)[^/]+/\d+-[0-9a-f]{32}", "$1[host]/[process]"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "[time]"),
    (r"results/test/(\d+)/\d+", "results/test/$1/[assigned]"),
    (r"(tries|try) in [\d.]+ m?s", "$1 in [time]"),
    (r"idle for \d+ s", "idle for [time]"),
    (r"(src/[a-z/]+)\.rs:\d+:\d+", "$1.rs:[line]"),
    (r"pid=\d+", "pid=[pid]"),
    // The limits of the machine.
    (r"[^\n]*app::platform::limits: limits[^\n]*\n", ""),
    // Not printed on every machine, or by every version of Rust.
    (
        r" \(core dumped\)|(?: \| )?note: run with `RUST_BACKTRACE=1`[^\n]*",
        "",
    ),
    (r"' \(\d+\) has", "' has"),
    // Not always measured for a process that ends soon.
    (r", peak memory \d+ MiB| peak_mib=\d+", ""),
    (
        r#"((?:finish|cancel|deliver|settle)_s"?[=:])[0-9.e-]+"#,
        "$1[s]",
    ),
    (
        r"(reefguide-worker|process-tests) \d+\.\d+\.\d+",
        "$1 [version]",
    ),
    (r#"version="\d+\.\d+\.\d+""#, r#"version="[version]""#),
];

/// Compares with a snapshot, except for what differs between runs.
macro_rules! assert_shown {
    ($shown:expr $(, @$inline:literal)?) => {
        let shown = $shown;
        insta::with_settings!({ filters => $crate::fixture::FILTERS.to_vec(), omit_expression => true }, {
            insta::assert_snapshot!(shown $(, @$inline)?)
        })
    };
}
pub(crate) use assert_shown;

pub(crate) async fn lab() -> Lab {
    let lab = Lab::builder().any_job_type().login_limit(1_000).start();
    in_time(lab).await.unwrap()
}

/// A program with the environment of a deployment, with shorter intervals than by default.
pub(crate) fn worker_for(lab: &Lab) -> Program {
    let quick = [("POLL_INTERVAL_MS", "100"), ("CLAIM_SETTLE_MS", "50")];
    let quick = quick.map(|(name, value)| (name, value.to_owned()));
    lab.env()
        .into_iter()
        .chain(quick)
        .fold(Program::bare(), |program, (name, value)| {
            program.env(name, value)
        })
}

pub(crate) fn submit_test(lab: &Lab, id: i64) -> i64 {
    lab.submit("TEST", json!({ "id": id })).unwrap()
}

pub(crate) fn status(lab: &Lab, job: i64) -> String {
    lab.job(job).unwrap()["status"].as_str().unwrap().to_owned()
}

/// Waits for the job's end and returns its status.
pub(crate) async fn final_status(lab: &Lab, job: i64) -> String {
    let ended = |job: &Value| !matches!(job["status"].as_str(), Some("PENDING" | "IN_PROGRESS"));
    in_time(lab.wait_for(job, ended)).await.unwrap();
    status(lab, job)
}

/// Runs a worker until these jobs have ended, then stops it.
pub(crate) async fn run_jobs(lab: &Lab, program: &Program, jobs: &[i64]) -> Exited {
    let worker = program.start(&[]);
    for job in jobs {
        final_status(lab, *job).await;
    }
    let exited = worker.stop().await;
    assert_eq!(exited.code, Some(0), "{}", exited.stderr);
    exited
}

/// Sends a signal, such as `TERM`, to a process.
pub(crate) fn send(signal: &str, pid: &str) {
    let kill = format!("kill -{signal} {pid}");
    let sent = std::process::Command::new("sh")
        .args(["-c", &kill])
        .status();
    assert!(sent.unwrap().success());
}

/// A port of 127.0.0.1 that refuses connections as long as the socket is kept.
pub(crate) fn closed_port() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

/// A port for a worker to serve its health on.
pub(crate) fn free_port() -> u16 {
    let (_socket, port) = closed_port();
    port
}
