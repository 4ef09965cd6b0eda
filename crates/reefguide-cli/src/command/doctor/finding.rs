//! Stuck jobs, and why they are stuck.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::Cell;
use jiff::Timestamp;
use reefguide_client::job::{JobId, JobStatus, JobType};
use serde::Serialize;

use crate::output;

/// The result of a diagnosis.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Diagnosis {
    pub(super) findings: Vec<Finding>,
    /// How many claims are held by live workers; `None` if the records were not checked.
    pub(super) alive: Option<usize>,
    /// How many jobs the API did not list.
    pub(super) unlisted: u64,
    /// How many records cannot be read.
    pub(super) unreadable_records: usize,
}

/// What a single check of the claim records shows.
#[derive(Default)]
pub(super) struct ClaimFindings {
    /// Claims of workers that have gone silent.
    pub(super) silent: Vec<Finding>,
    /// How many claims are held by live workers.
    pub(super) alive: usize,
    /// The jobs that have a record.
    pub(super) jobs: BTreeSet<JobId>,
    /// How many records cannot be read, so that their jobs are unknown.
    pub(super) unreadable: usize,
}

/// The workers that a sweep of the claim records did not find dead.
pub(super) struct Sweep {
    /// How many have renewed their records.
    pub(super) alive: usize,
    /// How many need to be watched for longer.
    pub(super) undecided: usize,
}

/// Jobs that are stuck for the same reason.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) jobs: Vec<JobId>,
    #[serde(rename = "type")]
    pub(super) job_type: JobType,
    /// Their status in the API; `None` if it does not know them.
    pub(super) status: Option<JobStatus>,
    /// When something last happened.
    pub(super) since: Option<Timestamp>,
    #[serde(flatten)]
    pub(super) why: Why,
    remedy: &'static str,
}

impl Finding {
    pub(super) fn new(
        job: JobId,
        job_type: JobType,
        status: Option<JobStatus>,
        since: Option<Timestamp>,
        why: Why,
    ) -> Self {
        Self {
            jobs: vec![job],
            job_type,
            status,
            since,
            remedy: why.remedy(),
            why,
        }
    }

    /// Names the jobs briefly.
    fn names(&self) -> String {
        match &*self.jobs {
            [] => String::new(),
            [job] => job.to_string(),
            [first, more @ ..] => format!("{first} and {} more", more.len()),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
#[cfg_attr(
    not(feature = "bucket"),
    expect(dead_code, reason = "some reasons come from records")
)]
pub(super) enum Why {
    /// The claim's record is not being renewed.
    WorkerSilent {
        worker: String,
        /// The outcome, if one is recorded.
        recorded: Option<JobStatus>,
    },
    /// The job has ended, but its record has not been removed.
    RecordLeft { worker: String },
    /// Its lease has ended without a result.
    LeaseEnded { worker: String },
    /// It has no record.
    NoRecord { worker: String },
    /// It has no open assignment to report a result for.
    NoAssignment,
    /// The API's answer about it cannot be read.
    Unreadable { reason: String },
    /// No worker claims it.
    Unclaimed,
}

impl Diagnosis {
    pub(super) fn describe(&self) -> String {
        let mut text = String::new();
        if self.findings.is_empty() {
            text.push_str("nothing is stuck");
        } else {
            let mut table = output::table(&["JOB", "TYPE", "STATUS", "SINCE", "WHY"]);
            for finding in &self.findings {
                table.add_row([
                    Cell::new(finding.names()),
                    Cell::new(&finding.job_type),
                    match &finding.status {
                        Some(status) => output::status_cell(status),
                        None => Cell::new("unknown"),
                    },
                    Cell::new(output::timestamp(finding.since)),
                    Cell::new(finding.why.explain()),
                ]);
            }
            text.push_str(&table.trim_fmt());
            text.push_str("\nwhat to do:");
            for finding in &self.findings {
                let _ = write!(text, "\n  job {}: {}", finding.names(), finding.remedy);
            }
        }
        if let Some(alive) = self.alive.filter(|alive| *alive > 0) {
            let _ = write!(text, "\nclaims held by live workers: {alive}");
        }
        if self.unlisted > 0 {
            let _ = write!(text, "\njobs that the API does not list: {}", self.unlisted);
        }
        text
    }
}

impl Why {
    /// Explains it in a line.
    fn explain(&self) -> String {
        let worker = match self {
            Self::WorkerSilent { worker, .. }
            | Self::RecordLeft { worker }
            | Self::LeaseEnded { worker }
            | Self::NoRecord { worker }
                if !worker.is_empty() =>
            {
                worker
            }
            _ => "a worker without a name",
        };
        match self {
            Self::WorkerSilent { recorded: None, .. } => {
                format!("its worker has gone silent: {worker}")
            }
            Self::WorkerSilent {
                recorded: Some(status),
                ..
            } => format!("its worker has gone silent after recording {status}: {worker}"),
            Self::RecordLeft { .. } => format!("it has ended, but the record of {worker} is left"),
            Self::LeaseEnded { .. } => {
                format!("its lease has ended without a result from {worker}")
            }
            Self::NoRecord { .. } => {
                format!("it has no record: it is lost, or {worker} keeps no records")
            }
            Self::NoAssignment => "it has no open assignment: only the API can end it".to_owned(),
            Self::Unreadable { reason } => {
                format!("the API's answer about it cannot be read: {reason}")
            }
            Self::Unclaimed => {
                "no worker has claimed it: none handles this type, or all are busy".to_owned()
            }
        }
    }

    /// What the user can do about it.
    fn remedy(&self) -> &'static str {
        match self {
            Self::WorkerSilent { .. } => {
                "`reefguide doctor --repair` reports the recorded outcome, or FAILED"
            }
            Self::RecordLeft { .. } => "`reefguide doctor --repair` removes the record",
            Self::LeaseEnded { .. } => {
                "check whether its worker, which may not keep records, still runs; if it does not, `reefguide doctor \
                 --repair --without-record` reports FAILED"
            }
            Self::NoRecord { .. } => {
                "check whether its worker still runs; if it does not, `reefguide doctor --repair --without-record` \
                 reports FAILED once the lease has ended"
            }
            Self::Unreadable { .. } => {
                "look at it with `reefguide show` and report it to the operators of the API; --repair leaves it alone"
            }
            Self::NoAssignment => "wait until the API times it out, then submit it again",
            Self::Unclaimed => {
                "start a worker for its type, wait for a free one, or cancel it with `reefguide cancel`"
            }
        }
    }

    /// Whether it comes from a record, which a repair resolves.
    pub(super) fn is_recorded(&self) -> bool {
        matches!(self, Self::WorkerSilent { .. } | Self::RecordLeft { .. })
    }
}

/// Whether `since` is at least `limit` ago.
pub(super) fn is_older(since: Timestamp, now: Timestamp, limit: Duration) -> bool {
    let age = now.duration_since(since);
    Duration::try_from(age).is_ok_and(|age| age >= limit)
}
