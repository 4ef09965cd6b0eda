//! A batch of jobs: read whole, then submitted line by line.

use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::time::Duration;

use reefguide_client::job::{JobId, JobType};
use reefguide_client::{ApiError, Client, CreatedJob};
use reefguide_terminal::stdout::answer_on;
use reefguide_terminal::{Bar, Position};
use reefguide_transport::Chain;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::MissedTickBehavior;

use crate::error::CliError;
use crate::input::{InputError, text};
use crate::output::Output;
use crate::patience::patiently;

/// How many wrong lines are told.
const TOLD: usize = 10;

/// Why a batch, or the rest of it, was not submitted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BatchError {
    #[error("batch {from} cannot be read")]
    Unreadable { from: String, source: InputError },
    #[error("batch {from}: nothing was submitted{}", WrongLines(.lines))]
    Wrong { from: String, lines: Vec<WrongLine> },
    #[error("batch {from} has {jobs} jobs, of which --skip {skip} leaves none")]
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
        for WrongLine { line, reason } in self.0.iter().take(TOLD) {
            write!(f, "\n  line {line}: {reason}")?;
        }
        match self.0.len().saturating_sub(TOLD) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} lines more"),
        }
    }
}

/// The jobs to submit.
#[derive(Debug)]
pub(super) struct Batch {
    jobs: Vec<Entry>,
    /// How many of the first ones are left out.
    skip: usize,
}

#[derive(Debug, PartialEq)]
struct Entry {
    line: usize,
    job_type: JobType,
    payload: Value,
}

/// A line that names its type.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    #[serde(rename = "type")]
    job_type: JobType,
    payload: Value,
}

/// What is printed of a submitted job.
#[derive(Serialize)]
struct Submitted {
    line: usize,
    #[serde(flatten)]
    created: CreatedJob,
}

impl Batch {
    /// Reads a file or stdin (`-`), of which each line has to be right.
    pub(super) fn read(
        from: &str,
        job_type: Option<&JobType>,
        skip: usize,
    ) -> Result<Self, BatchError> {
        let text = text(from).map_err(|source| BatchError::Unreadable {
            from: from.to_owned(),
            source,
        })?;
        let jobs = parse(&text, job_type).map_err(|lines| BatchError::Wrong {
            from: from.to_owned(),
            lines,
        })?;
        if skip > 0 && skip >= jobs.len() {
            return Err(BatchError::Skipped {
                from: from.to_owned(),
                jobs: jobs.len(),
                skip,
            });
        }
        Ok(Self { jobs, skip })
    }

    /// Submits the jobs in order, at most `rate` in a second, and prints the id of each.
    pub(super) async fn submit(
        self,
        client: &Client,
        rate: f64,
        out: Output,
    ) -> Result<Vec<JobId>, CliError> {
        let tally = Tally {
            submitted: Cell::new(self.skip),
            of: self.jobs.len(),
            out,
        };
        let bar = Bar::stderr();
        let (stdout, stderr) = (bar.above(std::io::stdout), bar.above(std::io::stderr));
        let mut pace = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let work = async {
            let mut ids = Vec::new();
            for entry in &self.jobs[self.skip..] {
                pace.tick().await;
                let line = entry.line;
                let submit = async || client.create_job(&entry.job_type, &entry.payload).await;
                let created = patiently(submit, |note| out.note_on(stderr(), note)).await;
                let created = created.map_err(|source| BatchError::Refused { line, source })?;
                tally.submitted.set(tally.submitted.get() + 1);
                let job = created.job_id.clone();
                let said = out.line(&Submitted { line, created }, |submitted| {
                    submitted.created.job_id.to_string()
                });
                let printed = answer_on(stdout(), said);
                let done = format!("job {job} of line {line} is submitted");
                printed.map_err(CliError::untold(done))?;
                ids.push(job);
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
}

/// How many of the jobs are submitted; told if it ends before all are, for whatever reason.
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
                "{submitted} of {of} jobs are submitted; go on with --skip {submitted}"
            ));
        }
    }
}

fn parse(text: &str, job_type: Option<&JobType>) -> Result<Vec<Entry>, Vec<WrongLine>> {
    let (mut jobs, mut wrong) = (Vec::new(), Vec::new());
    // A file that was put together of several has the mark of each.
    let lines = text.lines().map(|line| line.trim_start_matches('\u{feff}'));
    let lines = lines.zip(1..);
    for (text, line) in lines.filter(|(text, _)| !text.trim().is_empty()) {
        match entry(text, job_type) {
            Ok((job_type, payload)) => jobs.push(Entry {
                line,
                job_type,
                payload,
            }),
            Err(reason) => wrong.push(WrongLine { line, reason }),
        }
    }
    match wrong.is_empty() {
        true => Ok(jobs),
        false => Err(wrong),
    }
}

fn entry(text: &str, job_type: Option<&JobType>) -> Result<(JobType, Value), String> {
    let (job_type, payload) = match job_type {
        Some(job_type) => (job_type.clone(), json(text)?),
        None => {
            let Named { job_type, payload } = json(text)?;
            (job_type, payload)
        }
    };
    match Client::check_job(&job_type, &payload) {
        Ok(()) => Ok((job_type, payload)),
        Err(error) => Err(Chain(&error).to_string()),
    }
}

/// Reads a line; an error names the column alone, as the line is another one in the file.
fn json<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| {
        let mut reason = error.to_string();
        if let Some(end) = reason.rfind(" at line ") {
            reason.truncate(end);
            let _ = write!(reason, " at column {}", error.column());
        }
        match text.trim() {
            "[" | "]" => reason += "; a batch has one job a line and is no list",
            text if text.ends_with(',') => reason += "; end the line without a comma",
            _ => {}
        }
        reason
    })
}

/// How many jobs a second.
pub(super) fn rate(text: &str) -> Result<f64, String> {
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
        let entry = |line, payload| Entry {
            line,
            job_type: test.clone(),
            payload,
        };
        let expected = vec![entry(1, json!({ "id": 1 })), entry(3, json!({ "id": 2 }))];
        let payloads = "{\"id\": 1}\r\n \n{\"id\": 2}";
        assert_eq!(parse(payloads, Some(&test)).unwrap(), expected);
        let named = "{\"type\":\"TEST\",\"payload\":{\"id\":1}}\n\n{\"payload\":{\"id\":2},\"type\":\"TEST\"}\n";
        assert_eq!(parse(named, None).unwrap(), expected);
    }

    #[test]
    fn every_wrong_line_is_told_by_its_number() {
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
        fn whatever_is_read_each_line_that_is_not_empty_is_a_job_or_told(
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
