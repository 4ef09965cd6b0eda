//! What is stuck, and why.

use std::fmt::{self, Write as _};
use std::time::Duration;

use comfy_table::Cell;
use jiff::Timestamp;
use reefguide_client::job::{JobId, JobStatus, JobType};
use serde::Serialize;

use crate::output;

/// What a look brought.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Diagnosis {
    pub(super) findings: Vec<Finding>,
    /// How many claims are held by workers that live; `None` if nobody looked.
    pub(super) alive: Option<usize>,
    /// How many jobs the API did not list.
    pub(super) unlisted: u64,
    /// How many records cannot be read.
    pub(super) unreadable_records: usize,
}

/// Jobs that are stuck for the same reason.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    pub(super) jobs: Vec<JobId>,
    #[serde(rename = "type")]
    pub(super) job_type: JobType,
    /// Where they stand by the API; `None` if it does not know them.
    pub(super) status: Option<JobStatus>,
    /// Since when nothing has happened.
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

    /// The jobs in few words.
    fn named(&self) -> String {
        match &*self.jobs {
            [] => String::new(),
            [job] => job.to_string(),
            [first, more @ ..] => format!("{first} and {} more", more.len()),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub(super) enum Why {
    /// The claim's record is not renewed any more.
    WorkerSilent {
        worker: String,
        /// The outcome, if one is recorded.
        recorded: Option<JobStatus>,
    },
    /// The job has ended, and its record is left.
    RecordLeft { worker: String },
    /// The time in which its worker may report it is over.
    LeaseEnded { worker: String },
    /// Its worker keeps no record of it.
    NoRecord { worker: String },
    /// Nobody can report it.
    NoAssignment,
    /// What the API says of it cannot be read.
    Unreadable { reason: String },
    /// Nobody claims it.
    Unclaimed,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WorkerSilent {
                worker,
                recorded: None,
            } => write!(f, "its worker has fallen silent: {}", Worker(worker)),
            Self::WorkerSilent {
                worker,
                recorded: Some(status),
            } => write!(
                f,
                "its worker has fallen silent and has recorded that it is {status}: {}",
                Worker(worker)
            ),
            Self::RecordLeft { worker } => {
                write!(f, "it has ended, a record is left of {}", Worker(worker))
            }
            Self::LeaseEnded { worker } => {
                write!(
                    f,
                    "its lease has ended without a result of {}",
                    Worker(worker)
                )
            }
            Self::NoRecord { worker } => write!(
                f,
                "it has no record: it is lost, or {} keeps none",
                Worker(worker)
            ),
            Self::NoAssignment => f.write_str("nobody can report it: the API has to time it out"),
            Self::Unreadable { reason } => {
                write!(f, "what the API says of it cannot be read: {reason}")
            }
            Self::Unclaimed => {
                f.write_str("no worker has claimed it: none does this type, or all are busy")
            }
        }
    }
}

struct Worker<'a>(&'a str);

impl fmt::Display for Worker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            "" => "a worker without a name",
            name => name,
        })
    }
}

impl Diagnosis {
    pub(super) fn said(&self) -> String {
        let mut text = String::new();
        if self.findings.is_empty() {
            text.push_str("nothing is stuck");
        } else {
            let mut table = output::table(&["JOB", "TYPE", "STATUS", "SINCE", "WHY"]);
            for finding in &self.findings {
                table.add_row([
                    Cell::new(finding.named()),
                    Cell::new(&finding.job_type),
                    match &finding.status {
                        Some(status) => output::status_cell(status),
                        None => Cell::new("unknown"),
                    },
                    Cell::new(output::moment(finding.since)),
                    Cell::new(&finding.why),
                ]);
            }
            text.push_str(&table.trim_fmt());
            text.push_str("\nwhat to do:");
            for finding in &self.findings {
                let _ = write!(text, "\n  job {}: {}", finding.named(), finding.remedy);
            }
        }
        if let Some(alive) = self.alive.filter(|alive| *alive > 0) {
            let _ = write!(text, "\nclaims held by workers that live: {alive}");
        }
        if self.unlisted > 0 {
            let _ = write!(text, "\njobs that the API does not list: {}", self.unlisted);
        }
        text
    }
}

impl Why {
    /// What a person can do about it.
    fn remedy(&self) -> &'static str {
        match self {
            Self::WorkerSilent { .. } => {
                "`reefguide doctor --repair` reports what is recorded, or FAILED"
            }
            Self::RecordLeft { .. } => "`reefguide doctor --repair` removes the record",
            Self::LeaseEnded { .. } => {
                "see whether that worker still runs, it may be of another program; only if it does not, \
                 `reefguide doctor --repair --without-record` reports FAILED"
            }
            Self::NoRecord { .. } => {
                "see whether that worker still runs; if it does not, `reefguide doctor --repair \
                 --without-record` reports FAILED once the lease has ended"
            }
            Self::Unreadable { .. } => {
                "see `reefguide show`, and tell those who run the API; nothing is done to it"
            }
            Self::NoAssignment => "wait until the API times it out, or submit it again then",
            Self::Unclaimed => {
                "start a worker for its type, wait for one that is free, or withdraw it with `reefguide cancel`"
            }
        }
    }

    /// Whether the job's record says all there is to say of it.
    pub(super) fn is_recorded(&self) -> bool {
        matches!(self, Self::WorkerSilent { .. } | Self::RecordLeft { .. })
    }
}

/// Whether something of so long ago is over.
pub(super) fn is_over(since: Timestamp, now: Timestamp, limit: Duration) -> bool {
    let age = now.duration_since(since);
    Duration::try_from(age).is_ok_and(|age| age >= limit)
}
