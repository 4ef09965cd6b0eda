//! Checks the jobs, results and objects that a run has left against a worker's promises.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use crate::error::LabError;
use crate::lab::Lab;

/// The output files of a job: paths below its storage location, and contents.
pub type Outputs = BTreeMap<String, Vec<u8>>;

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    invariant: &'static str,
    what: String,
}

impl Violation {
    /// A violation of `invariant`; `what` describes it.
    pub fn new(invariant: &'static str, what: impl Into<String>) -> Self {
        Self {
            invariant,
            what: what.into(),
        }
    }

    /// The name of the invariant that was violated.
    pub fn invariant(&self) -> &'static str {
        self.invariant
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

impl Lab {
    /// Audits the lab. Call it when no worker is running any more.
    ///
    /// | invariant | what must hold |
    /// | --- | --- |
    /// | `one-result` | No job has two results. |
    /// | `lease` | No result was posted after its assignment had expired. |
    /// | `ended` | No job is IN_PROGRESS. |
    /// | `outputs` | Each SUCCEEDED job has the files that `outputs` returns for it, with the same bytes, at the location of its result. |
    /// | `leftovers` | Nothing else is in the bucket, and no multipart upload is open. |
    ///
    /// # Errors
    /// When jobs or objects cannot be read.
    pub fn audit(&self, outputs: impl Fn(&Value) -> Outputs) -> Result<Vec<Violation>, LabError> {
        let bucket = self.bucket();
        let store = &self.api.objects.store;
        let keys = store.list_keys(bucket, "", usize::MAX);
        let mut audit = Audit {
            lab: self,
            left: keys.map_err(LabError::refused)?.into_iter().collect(),
            violations: Vec::new(),
        };
        for job in self.jobs()? {
            audit.job(&job, &outputs)?;
        }
        for key in std::mem::take(&mut audit.left) {
            audit.note(
                "leftovers",
                format!("the object {key} is not an output of a job that succeeded"),
            );
        }
        for key in store.open_uploads().map_err(LabError::refused)? {
            audit.note("leftovers", format!("an upload to {key} is still open"));
        }
        Ok(audit.violations)
    }
}

struct Audit<'a> {
    lab: &'a Lab,
    /// The objects that are not yet accounted for.
    left: BTreeSet<String>,
    violations: Vec<Violation>,
}

impl Audit<'_> {
    fn note(&mut self, invariant: &'static str, what: String) {
        self.violations.push(Violation::new(invariant, what));
    }

    fn job(&mut self, job: &Value, outputs: &impl Fn(&Value) -> Outputs) -> Result<(), LabError> {
        let id = &job["id"];
        let assignments = job["assignments"].as_array().into_iter().flatten();
        let reported: Vec<_> = assignments
            .filter(|assignment| !assignment["result"].is_null())
            .collect();
        if reported.len() > 1 {
            self.note("one-result", format!("job {id} has {}", reported.len()));
        }
        for assignment in &reported {
            // Both are ISO 8601 in the same form, so the strings sort like the times.
            let posted = assignment["result"]["created_at"].as_str();
            let expired = assignment["expires_at"].as_str();
            if posted > expired {
                let (posted, expired) = (posted.unwrap_or_default(), expired.unwrap_or_default());
                let what =
                    format!("job {id} expired at {expired}, but its result was posted at {posted}");
                self.note("lease", what);
            }
        }
        match (job["status"].as_str(), reported.first()) {
            (Some("IN_PROGRESS"), _) => self.note("ended", format!("job {id} is IN_PROGRESS")),
            (Some("SUCCEEDED"), Some(assignment)) => {
                let location = assignment["storage_uri"].as_str().unwrap_or_default();
                self.check_outputs(id, location, outputs(job))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn check_outputs(
        &mut self,
        id: &Value,
        location: &str,
        outputs: Outputs,
    ) -> Result<(), LabError> {
        let bucket = self.lab.bucket();
        let below = format!("s3://{bucket}/");
        let prefix = location.strip_prefix(&below).unwrap_or(location);
        for (path, bytes) in outputs {
            let key = format!("{prefix}/{path}");
            self.left.remove(&key);
            let stored = self.lab.api.objects.store.bytes(bucket, &key);
            match stored.map_err(LabError::refused)? {
                Some(stored) if stored == bytes => {}
                Some(stored) => {
                    let what = format!(
                        "job {id}: {key} has {} bytes, which differ from the {} bytes expected",
                        stored.len(),
                        bytes.len()
                    );
                    self.note("outputs", what);
                }
                None => self.note("outputs", format!("job {id}: {key} is missing")),
            }
        }
        Ok(())
    }
}
