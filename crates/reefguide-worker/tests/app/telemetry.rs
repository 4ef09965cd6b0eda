use std::io;

use reefguide_worker::app::telemetry::{
    LogFormat, TelemetryError, TelemetryOptions, init, subscriber,
};
use tracing::{debug, error, info, info_span, warn};

use crate::{Lines, child, is_child};

fn options(format: LogFormat, filter: &str) -> TelemetryOptions {
    TelemetryOptions {
        format,
        filter: filter.into(),
        ..TelemetryOptions::default()
    }
}

/// What is written for some events of a job.
fn lines(format: LogFormat, terminal: bool) -> String {
    let lines = Lines::default();
    let subscriber = subscriber(&options(format, "info"), lines.writer(), terminal).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        info!(job_types = ?["TEST"], slots = 2, "started");
        debug!("not shown");
        let job = info_span!("job", job_id = %7, job_type = "TEST", assignment_id = %12);
        let _in_job = job.enter();
        info!("claimed");
        let _in_upload = info_span!("upload", key = "a/b \"c\"").entered();
        warn!(
            job_id = "the event's",
            level = "deep",
            retry = true,
            seconds = 1.5,
            "slow\nupload"
        );
        let error = io::Error::other("disk full");
        error!(error = &error as &dyn std::error::Error, "failed");
    });
    lines.text()
}

macro_rules! assert_lines {
    ($lines:expr) => {
        insta::with_settings!({filters => vec![
            (r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z", "[time]"),
            (r"\x1b\[", "^["),
        ]}, { insta::assert_snapshot!($lines) })
    };
}

#[test]
fn human_lines() {
    assert_lines!(lines(LogFormat::Human, false));
}

#[test]
fn human_lines_on_a_terminal_have_colours() {
    assert_lines!(lines(LogFormat::Auto, true));
}

#[test]
fn json_lines_carry_the_jobs_fields_at_their_top_level() {
    let lines = lines(LogFormat::Auto, false);
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["timestamp"].is_string() && line["message"].is_string());
    }
    assert_lines!(lines);
}

#[test]
fn a_filter_that_cannot_be_parsed_is_named() {
    let options = options(LogFormat::Auto, "worker=loud");
    let error = subscriber(&options, io::sink, false).err().unwrap();
    insta::assert_snapshot!(error.to_string());
}

/// Sets up logging for the whole process, which no other test may share.
#[test]
fn child_that_panics() {
    if !is_child() {
        return;
    }
    let options = options(LogFormat::Json, "info");
    let _guard = init(&options).unwrap();
    assert!(matches!(init(&options), Err(TelemetryError::AlreadySet)));
    let _in_job = info_span!("job", job_id = 7).entered();
    let text = "a number";
    let _ = std::panic::catch_unwind(|| panic!("not {text}"));
}

#[test]
fn a_panic_is_one_line_in_the_span_it_happened_in() {
    let output = child("telemetry::child_that_panics")
        .env("RUST_BACKTRACE", "0")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "init panicked or let itself be set twice"
    );
    let stderr = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<serde_json::Value> = stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 1, "{stderr}");
    assert_eq!(lines[0]["level"], "ERROR");
    assert_eq!(lines[0]["panic"], "not a number");
    assert_eq!(lines[0]["job_id"], 7);
    assert!(
        lines[0]["location"]
            .as_str()
            .unwrap()
            .contains("telemetry.rs:"),
        "{stderr}"
    );
}
