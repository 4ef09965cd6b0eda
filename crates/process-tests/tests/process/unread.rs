//! A log that is not read, or cannot be written, stops neither jobs nor signals nor health.

use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, Read, pipe};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::{Duration, Instant};

use reefguide_lab::{Fault, Lab, Route};
use reefguide_worker::storage::{Storage, StorageUri};
use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::fixture::{closed_port, final_status, lab, worker_for};
use crate::lab_storage;
use crate::program::{Exited, Program, Running, in_time};

/// More lines than the queue of the log holds.
const FLOOD: u64 = 30_000;
const DROPPED: &str = "log lines dropped: stderr was not read in time";
/// Shorter than any time that the worker waits for its log, its API or its jobs, and enough on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(4);

/// A worker, and the port of its health server.
fn worker(lab: &Lab) -> (Program, u16) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = port.local_addr().unwrap().port();
    let program = worker_for(lab)
        .unruly()
        .env("SHUTDOWN_GRACE_MS", "600000")
        .env("PORT", port.to_string());
    (program, port)
}

/// Waits until `path` is answered with this status.
async fn answers(port: u16, path: &str, status: u16) -> String {
    let url = format!("http://127.0.0.1:{port}{path}");
    let answered = async {
        loop {
            let client = reqwest::Client::builder().timeout(AT_ONCE).build().unwrap();
            if let Ok(answer) = client.get(&url).send().await
                && answer.status() == status
            {
                return answer.text().await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    in_time(answered).await
}

/// Waits for its end, which has to come at once.
async fn ends_at_once(worker: Running<'_>) -> Exited {
    let signalled = Instant::now();
    let exited = worker.exited().await;
    assert!(signalled.elapsed() < AT_ONCE, "{:?}", signalled.elapsed());
    exited
}

/// The lines until all writers are gone.
fn lines(log: PipeReader) -> impl Iterator<Item = Value> {
    let lines = BufReader::new(log).lines();
    lines.map(|line| {
        let line = line.unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"))
    })
}

/// Runs jobs that log more than the queue holds, one in the worker and one isolated, and another job after them.
async fn floods(lab: &Lab) {
    for (job_type, does) in [
        ("FLOOD", json!(FLOOD)),
        ("FLOOD_APART", json!(FLOOD)),
        ("PLAIN", json!({ "well": { "number": 1.0 } })),
    ] {
        let job = lab.submit(job_type, does).unwrap();
        assert_eq!(final_status(lab, job).await, "SUCCEEDED", "{job_type}");
    }
}

#[tokio::test]
async fn a_worker_whose_log_is_not_read_runs_jobs_serves_its_health_and_stops() {
    for both in [false, true] {
        let lab = lab().await;
        let (program, port) = worker(&lab);
        let (_unread, log) = pipe().unwrap();
        let stdout = match both {
            true => log.try_clone().unwrap().into(),
            false => Stdio::null(),
        };
        let worker = program.start_with(&[], stdout, log.into());
        floods(&lab).await;
        answers(port, "/health", 200).await;
        let metrics = answers(port, "/metrics", 200).await;
        let dropped = metrics
            .lines()
            .find_map(|line| line.strip_prefix("worker_log_lines_dropped_total "));
        assert!(dropped.unwrap().parse::<u64>().unwrap() > FLOOD);
        worker.signal("TERM").await;
        assert_eq!(ends_at_once(worker).await.code, Some(0));
    }
}

#[tokio::test]
async fn a_log_that_is_read_again_has_the_number_of_dropped_lines_and_only_whole_lines() {
    let lab = lab().await;
    let (program, _) = worker(&lab);
    let (unread, log) = pipe().unwrap();
    let worker = program.start_with(&[], Stdio::null(), log.into());
    floods(&lab).await;
    let (told, tells) = oneshot::channel();
    let reading = std::thread::spawn(move || {
        let mut told = Some(told);
        let mut log = Vec::new();
        for line in lines(unread) {
            if line["message"] == DROPPED
                && let Some(told) = told.take()
            {
                told.send(()).unwrap();
            }
            log.push(line);
        }
        log
    });
    in_time(tells).await.unwrap();
    assert_eq!(worker.stop().await.code, Some(0));
    let log = reading.join().unwrap();

    let said = log.iter().filter(|line| line["message"] == DROPPED);
    let dropped: u64 = said.map(|line| line["lines"].as_u64().unwrap()).sum();
    let floods = log.iter().filter(|line| line["message"] == "flood");
    let floods: Vec<_> = floods
        .map(|line| {
            (
                line["job_type"].as_str().unwrap(),
                line["nth"].as_u64().unwrap(),
            )
        })
        .collect();
    let missing = 2 * FLOOD - floods.len() as u64;
    // Lines that do not come from the floods, too.
    assert!(
        (missing..missing + 100).contains(&dropped),
        "{dropped} of {missing}"
    );
    assert!(floods.is_sorted_by(|one, next| one.0 != next.0 || one.1 < next.1));
    // Up to the end.
    assert!(log.iter().any(|line| line["message"] == "worker stopped"));
}

#[tokio::test]
async fn a_log_that_cannot_be_written_ends_nothing() {
    let full = || {
        File::options()
            .write(true)
            .open("/dev/full")
            .unwrap()
            .into()
    };
    let closed = || pipe().unwrap().1.into();
    for log in [&full as &dyn Fn() -> Stdio, &closed] {
        let lab = lab().await;
        let (program, port) = worker(&lab);
        let worker = program.start_with(&[], Stdio::null(), log());
        floods(&lab).await;
        // A panic says so on stderr.
        let job = lab.submit("PANIC", json!("async")).unwrap();
        assert_eq!(final_status(&lab, job).await, "FAILED");
        answers(port, "/health", 200).await;
        worker.signal("TERM").await;
        assert_eq!(ends_at_once(worker).await.code, Some(0));
    }
}

/// Starts a worker and waits until its log is full and a job of this type runs.
async fn jammed(lab: &Lab, job_type: &str) {
    floods(lab).await;
    let job = lab.submit(job_type, json!("nowhere")).unwrap();
    let runs = |job: &Value| job["status"] == "IN_PROGRESS";
    in_time(lab.wait_for(job, runs)).await.unwrap();
}

#[tokio::test]
async fn a_second_signal_ends_a_worker_at_once_whose_log_is_not_read() {
    for (first, second, code) in [
        ("TERM", "TERM", 143),
        ("HUP", "INT", 130),
        ("INT", "HUP", 129),
    ] {
        let lab = lab().await;
        let (program, port) = worker(&lab);
        let (_unread, log) = pipe().unwrap();
        // Every thread that runs async code is blocked, too.
        let program = program.env("TOKIO_WORKER_THREADS", "1");
        let worker = program.start_with(&[], log.try_clone().unwrap().into(), log.into());
        jammed(&lab, "BLOCK").await;
        worker.signal(first).await;
        // The health says that it stops only if the async threads run, which they do not.
        tokio::time::sleep(Duration::from_millis(500)).await;
        answers(port, "/metrics", 200).await;
        worker.signal(second).await;
        assert_eq!(ends_at_once(worker).await.code, Some(code));
    }
}

#[tokio::test]
async fn a_handler_that_blocks_every_thread_does_not_delay_the_end() {
    let lab = lab().await;
    let (program, port) = worker(&lab);
    let program = program.env("SHUTDOWN_GRACE_MS", "2000");
    let worker = program.start_with(&[], Stdio::null(), Stdio::null());
    let job = lab.submit("BLOCK", json!(1)).unwrap();
    let runs = |job: &Value| job["status"] == "IN_PROGRESS";
    in_time(lab.wait_for(job, runs)).await.unwrap();
    answers(port, "/ready", 200).await;
    worker.signal("TERM").await;
    assert_eq!(in_time(worker.exited()).await.code, Some(0));
}

/// Both ends of a terminal. While the outer end is not read, the terminal is stopped, as after Ctrl-S.
fn terminal() -> (OwnedFd, OwnedFd) {
    let outside = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&outside).unwrap();
    unlockpt(&outside).unwrap();
    let name = ptsname(&outside, Vec::new()).unwrap();
    let inside = open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    (inside, outside)
}

#[tokio::test]
async fn a_terminal_that_is_stopped_stops_neither_a_job_nor_its_progress_bar() {
    let lab = lab().await;
    let bucket = lab.bucket();
    let storage = Storage::s3(lab_storage::options(&lab));
    let object: StorageUri = format!("s3://{bucket}/soundings.csv").parse().unwrap();
    storage
        .upload_bytes(vec![7; 400_000], &object)
        .await
        .unwrap();
    // Long enough for the bar to be drawn.
    let slow = Fault::slow_pieces(Route::S3Get, Duration::from_millis(300));
    lab.faults().add(slow);
    let program = worker_for(&lab)
        .env("TERM", "xterm-256color")
        .env("RUST_LOG", "debug")
        .file(
            "payload.json",
            &json!({ "source": object.to_string() }).to_string(),
        );
    let args = [
        "handle",
        "COPY",
        "--input",
        "payload.json",
        "--output-dir",
        "out",
    ];
    for stopped in [true, false] {
        let (terminal, outside) = terminal();
        let reading = (!stopped).then(|| {
            let mut outside = File::from(outside.try_clone().unwrap());
            std::thread::spawn(move || {
                let mut shown = Vec::new();
                // Ends with an error once the terminal is closed.
                let _ = outside.read_to_end(&mut shown);
                String::from_utf8(shown).unwrap()
            })
        });
        let handle = program.start_with(&args, Stdio::piped(), terminal.into());
        let exited = in_time(handle.exited()).await;
        assert_eq!(exited.code, Some(0));
        assert!(
            exited.stdout.contains("\"bytes\": 400000"),
            "{}",
            exited.stdout
        );
        if let Some(reading) = reading {
            let shown = reading.join().unwrap();
            assert!(shown.contains("of 391 KiB"), "{shown}");
        }
    }
}

/// An API that accepts connections and never answers.
fn silent() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, format!("http://127.0.0.1:{port}"))
}

fn worker_at(api: &str) -> Program {
    Program::bare()
        .unruly()
        .env("API_ENDPOINT", api)
        .env("WORKER_USERNAME", "worker@email.com")
        .env("WORKER_PASSWORD", "password")
        .env("RUST_LOG", "trace")
}

#[tokio::test]
async fn a_starting_worker_ends_at_the_first_signal() {
    let (_listener, unanswered) = silent();
    let (_socket, port) = closed_port();
    for api in [unanswered, format!("http://127.0.0.1:{port}")] {
        for signal in ["TERM", "INT", "HUP"] {
            let program = worker_at(&api);
            let mut worker = program.start(&[]);
            worker.logs("worker starting").await;
            worker.signal(signal).await;
            assert_eq!(ends_at_once(worker).await.code, Some(0), "{signal}");
        }
    }
}

#[tokio::test]
async fn a_command_ends_at_the_first_signal_wherever_it_waits() {
    let (_listener, api) = silent();
    let handle = ["handle", "PANIC", "--input", "-", "--output-dir", "out"];
    for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        for args in [&["check"][..], &handle] {
            let program = worker_at(&api).env("S3_ENDPOINT", &*api);
            // Nothing is logged when it begins to wait.
            let worker = program.start_with(args, Stdio::null(), Stdio::null());
            in_time(listening(&worker)).await;
            worker.signal(signal).await;
            assert_eq!(ends_at_once(worker).await.code, Some(code), "{args:?}");
        }
    }
}

/// Waits until the process listens to signals.
async fn listening(worker: &Running<'_>) {
    let path = format!("/proc/{}/status", worker.id());
    loop {
        let status = std::fs::read_to_string(&path).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
        // SIGHUP is the last one to get a handler.
        if caught & 1 == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_worker_started_by_nohup_ignores_sighup() {
    let lab = lab().await;
    let (program, port) = worker(&lab);
    let program = program.before(&["nohup"]);
    let worker = program.start_with(&[], Stdio::null(), Stdio::null());
    answers(port, "/ready", 200).await;
    worker.signal("HUP").await;
    // The processes of isolated handlers ignore it, too.
    floods(&lab).await;
    worker.signal("HUP").await;
    answers(port, "/ready", 200).await;
    worker.signal("TERM").await;
    assert_eq!(ends_at_once(worker).await.code, Some(0));
}
