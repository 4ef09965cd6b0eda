//! The results of all cases.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use crate::case::Case;
use crate::run::Ran;

#[derive(Default)]
pub(crate) struct Report {
    cases: usize,
    faults: u64,
    statuses: BTreeMap<String, usize>,
    violations: Vec<String>,
    longest: (Duration, String),
}

impl Report {
    pub(crate) fn add(&mut self, case: &Case, ran: Ran) {
        self.cases += 1;
        self.faults += ran.faults;
        for job in &ran.jobs {
            *self
                .statuses
                .entry(job["status"].as_str().unwrap().to_owned())
                .or_default() += 1;
        }
        for violation in ran.violations {
            self.violations
                .push(format!("{} (seed {}): {violation}", case.name, case.seed));
        }
        self.longest = self.longest.clone().max((ran.took, case.name.clone()));
    }

    /// Adds processes that still run when all cases have ended.
    pub(crate) fn process(&mut self, left: Vec<String>) {
        for id in left {
            self.violations
                .push(format!("all: process: {id} still runs"));
        }
    }

    /// Prints the counts, and fails if there is a violation.
    pub(crate) fn close(self, took: Duration) {
        let jobs: usize = self.statuses.values().sum();
        let mut text = format!(
            "fault matrix: {} cases in {:.1} s, {jobs} jobs (",
            self.cases,
            took.as_secs_f64()
        );
        for (status, count) in &self.statuses {
            write!(text, "{count} {status} ").unwrap();
        }
        let text = text.trim_end();
        let (longest, name) = self.longest;
        let text = format!(
            "{text}), {} faults, {} violations; the longest took {:.1} s: {name}",
            self.faults,
            self.violations.len(),
            longest.as_secs_f64()
        );
        // Bypasses the test harness, which shows printed text only if the test fails.
        let shown = format!("{text}\n");
        std::io::stderr().write_all(shown.as_bytes()).unwrap();
        assert!(
            self.violations.is_empty(),
            "{text}\n{}",
            self.violations.join("\n")
        );
    }
}
