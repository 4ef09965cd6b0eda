//! A batch: a file with one job per line, checked as a whole before the first job is submitted.

use std::fmt::{self, Write as _};

use reefguide_client::job::JobType;
use reefguide_client::{ApiError, Client};
use reefguide_transport::Chain;
use serde::Deserialize;
use serde_json::Value;

use crate::input::{InputError, read_text};

/// How many wrong lines an error names.
const LINES_SHOWN: usize = 10;

/// Why a batch, or the rest of it, was not submitted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BatchError {
    #[error("batch {from} cannot be read")]
    Unreadable { from: String, source: InputError },
    #[error("batch {from}: nothing was submitted{}", WrongLines(.lines))]
    Wrong { from: String, lines: Vec<WrongLine> },
    #[error("batch {from} has {jobs} jobs, so --skip {skip} leaves none")]
    Skipped {
        from: String,
        jobs: usize,
        skip: usize,
    },
    #[error("line {line}")]
    Refused { line: usize, source: ApiError },
}

#[derive(Debug)]
pub(crate) struct WrongLine {
    line: usize,
    reason: String,
}

struct WrongLines<'a>(&'a [WrongLine]);

impl fmt::Display for WrongLines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for WrongLine { line, reason } in self.0.iter().take(LINES_SHOWN) {
            write!(f, "\n  line {line}: {reason}")?;
        }
        match self.0.len().saturating_sub(LINES_SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more lines"),
        }
    }
}

/// A job of a batch, as a line that names its type has it.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchJob {
    #[serde(skip)]
    pub(crate) line: usize,
    #[serde(rename = "type")]
    pub(crate) job_type: JobType,
    pub(crate) payload: Value,
}

/// Reads a batch from a file, or from stdin for `-`. One wrong line is an error for the whole batch, and so is a `skip`
/// that leaves no job.
pub(crate) fn read(
    from: &str,
    job_type: Option<&JobType>,
    skip: usize,
) -> Result<Vec<BatchJob>, BatchError> {
    let text = read_text(from);
    let from = from.to_owned();
    let text = match text {
        Ok(text) => text,
        Err(source) => return Err(BatchError::Unreadable { from, source }),
    };
    match parse(&text, job_type) {
        Err(lines) => Err(BatchError::Wrong { from, lines }),
        Ok(jobs) if skip > 0 && skip >= jobs.len() => {
            let jobs = jobs.len();
            Err(BatchError::Skipped { from, jobs, skip })
        }
        Ok(jobs) => Ok(jobs),
    }
}

fn parse(text: &str, job_type: Option<&JobType>) -> Result<Vec<BatchJob>, Vec<WrongLine>> {
    let (mut jobs, mut wrong) = (Vec::new(), Vec::new());
    // Files that were concatenated keep their byte order marks.
    let lines = text.lines().map(|line| line.trim_start_matches('\u{feff}'));
    let lines = lines.zip(1..);
    for (text, line) in lines.filter(|(text, _)| !text.trim().is_empty()) {
        match parse_line(text, job_type) {
            Ok(job) => jobs.push(BatchJob { line, ..job }),
            Err(reason) => wrong.push(WrongLine { line, reason }),
        }
    }
    match wrong.is_empty() {
        true => Ok(jobs),
        false => Err(wrong),
    }
}

fn parse_line(text: &str, job_type: Option<&JobType>) -> Result<BatchJob, String> {
    let job = match job_type {
        Some(job_type) => BatchJob {
            line: 0,
            job_type: job_type.clone(),
            payload: json(text)?,
        },
        None => json(text)?,
    };
    match Client::check_job(&job.job_type, &job.payload) {
        Ok(()) => Ok(job),
        Err(error) => Err(Chain(&error).to_string()),
    }
}

/// Parses a line. An error names only the column, since its line number would always be 1.
fn json<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| {
        let mut reason = error.to_string();
        if let Some(end) = reason.rfind(" at line ") {
            reason.truncate(end);
            let _ = write!(reason, " at column {}", error.column());
        }
        match text.trim() {
            "[" | "]" => reason += "; a batch has one job per line and is not a list",
            text if text.ends_with(',') => reason += "; end the line without a comma",
            _ => {}
        }
        reason
    })
}

/// Parses a number of jobs per second.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.01..=1_000.0).contains(&rate) => Ok(rate),
        _ => Err("use a number from 0.01 to 1000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_is_a_payload_or_names_its_type() {
        let test = JobType::from("TEST");
        let job = |line, payload| BatchJob {
            line,
            job_type: test.clone(),
            payload,
        };
        let expected = vec![job(1, json!({ "id": 1 })), job(3, json!({ "id": 2 }))];
        let payloads = "{\"id\": 1}\r\n \n{\"id\": 2}";
        assert_eq!(parse(payloads, Some(&test)).unwrap(), expected);
        let named = "{\"type\":\"TEST\",\"payload\":{\"id\":1}}\n\n{\"payload\":{\"id\":2},\"type\":\"TEST\"}\n";
        assert_eq!(parse(named, None).unwrap(), expected);
    }

    #[test]
    fn every_wrong_line_is_named_by_its_number() {
        let long = format!("{{\"type\":\"T\",\"payload\":\"{}\"}}", "x".repeat(102_400));
        let lines = [
            "{\"type\":\"T\",\"payload\":1}",
            "{\"type\":\"T\"}",
            "{\"type\":\"T\",\"payload\":1,\"prioritty\":2}",
            "{\"type\":",
            "{\"type\":\"T\",\"payload\":{\"a\":\"\\u0000\"}}",
            &long,
        ];
        let wrong = parse(&lines.join("\n"), None).unwrap_err();
        insta::assert_snapshot!(WrongLines(&wrong));
    }

    proptest! {
        #[test]
        fn each_line_that_is_not_empty_is_a_job_or_an_error(
            lines in proptest::collection::vec("(\\PC{0,12}|\\{\"a\": [0-9]{1,3}\\}| *)", 0..8)
        ) {
            let text = lines.join("\n");
            let filled = text.lines().filter(|line| !line.trim().is_empty()).count();
            match parse(&text, Some(&JobType::from("T"))) {
                Ok(jobs) => prop_assert_eq!(jobs.len(), filled),
                Err(wrong) => prop_assert!(!wrong.is_empty() && wrong.len() <= filled),
            }
        }
    }
}
