//! A program's output in the log.

use std::io;
use std::sync::{Arc, Mutex};

use reefguide_worker::app::telemetry::{LogFormat, TelemetryOptions, subscriber};
use reefguide_worker::prelude::*;
use serde_json::Value;
use tracing::Instrument;

use crate::{harness, in_time, sh};

/// Captured log lines.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// The log of a script that runs in the span of a job.
    async fn of(script: &str) -> Self {
        let log = Self::default();
        let (format, filter) = (LogFormat::Json, "info".to_owned());
        let options = TelemetryOptions {
            format,
            filter,
            ..TelemetryOptions::default()
        };
        let writer = log.clone();
        let subscriber = subscriber(&options, move || writer.clone(), false).unwrap();
        // For this thread, the only one of the test's runtime.
        let _logging = tracing::subscriber::set_default(subscriber);
        let span = tracing::info_span!("job", job_id = 12);
        let harness = harness(sh(script));
        in_time(harness.run(json!({})).instrument(span))
            .await
            .unwrap();
        log
    }

    fn entries(&self) -> Vec<Value> {
        let log = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = log.lines();
        lines
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The messages of one stream.
    fn lines(&self, stream: &str) -> Vec<String> {
        let entries = self.entries();
        let of_stream = entries.iter().filter(|entry| entry["stream"] == stream);
        of_stream
            .map(|entry| entry["message"].as_str().unwrap().to_owned())
            .collect()
    }
}

#[tokio::test]
async fn lines_are_logged_as_they_are_written_with_their_stream_and_job() {
    let log = Log::of("echo one; printf 'two\\r\\n\\nthree'; echo 'to \"stderr\"' >&2").await;
    assert_eq!(log.lines("stdout"), ["one", "two", "three"]);
    assert_eq!(log.lines("stderr"), ["to \"stderr\""]);
    for entry in log.entries() {
        assert_eq!(entry["job_id"], 12, "{entry}");
        assert_eq!(entry["level"], "INFO", "{entry}");
    }
}

#[tokio::test]
async fn only_the_last_state_of_a_progress_bar_is_logged() {
    let log = Log::of("printf ' 10 %%\\r 50 %%\\r100 %%\\n'; printf ' 5 %%\\r' >&2").await;
    assert_eq!(log.lines("stdout"), ["100 %"]);
    assert_eq!(log.lines("stderr"), [" 5 %"]);
}

#[tokio::test]
async fn lines_need_not_be_utf_8() {
    let log = Log::of("printf 'caf\\351 d\\303\\251j\\303\\240\\n'").await;
    assert_eq!(log.lines("stdout"), ["caf\u{fffd} déjà"]);
}

#[tokio::test]
async fn an_endless_line_is_logged_in_pieces() {
    let log = Log::of("head -c 50000000 /dev/zero | tr '\\0' x").await;
    let pieces = log.lines("stdout");
    assert_eq!(pieces.iter().map(String::len).sum::<usize>(), 50_000_000);
    assert!(pieces.iter().all(|piece| piece.len() <= 8 << 10));
}

#[tokio::test]
async fn a_line_is_not_cut_within_a_character() {
    let log = Log::of("printf x; yes é | head -n 20000 | tr -d '\\n'").await;
    let pieces = log.lines("stdout");
    assert!(pieces.len() > 3, "{}", pieces.len());
    assert_eq!(pieces.concat(), format!("x{}", "é".repeat(20_000)));
}
