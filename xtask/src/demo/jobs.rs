//! The jobs of the demo, and how each of them should end.

use reefguide_worker::job::{JobId, JobStatus, JobType};
use reefguide_worker::source::reefguide::{ApiError, AssignmentRecord, Client, JobDetails};
use serde_json::{Value, json};

use super::print::step;
use super::soundings::Inputs;
use crate::failure::{Doing, Failure};

/// The example worker's job types.
pub(super) const TEST: &str = "TEST";
pub(super) const DEPTH_SUMMARY: &str = "DEPTH_SUMMARY";

/// A job to submit.
#[derive(Debug)]
pub(super) struct JobPlan {
    /// What the job shows.
    about: &'static str,
    job_type: &'static str,
    payload: Value,
    /// The status and number of output files it should end with; `None` if the API should refuse it.
    expected: Option<(JobStatus, usize)>,
}

/// Good jobs and bad ones.
pub(super) fn plan(inputs: &Inputs) -> Vec<JobPlan> {
    let test = |about, id, expected| JobPlan {
        about,
        job_type: TEST,
        payload: json!({ "id": id }),
        expected,
    };
    let summary = |about, payload, expected| JobPlan {
        about,
        job_type: DEPTH_SUMMARY,
        payload,
        expected,
    };
    let failed = || Some((JobStatus::Failed, 0));
    let succeeded = |outputs| Some((JobStatus::Succeeded, outputs));
    let Inputs {
        bucket,
        soundings,
        broken,
        missing,
    } = inputs;
    let bucket = format!("s3://{bucket}");
    vec![
        summary(
            "two fields misspelt",
            json!({ "sauce": soundings, "bin": 5 }),
            None,
        ),
        test("a small job", 1, succeeded(1)),
        summary(
            "summarises a CSV file",
            json!({ "source": soundings, "bins": 20 }),
            succeeded(5),
        ),
        // Objects over 16 MiB are stored in parts.
        summary(
            "and exports 17 MiB",
            json!({ "source": soundings, "export_mib": 17 }),
            succeeded(6),
        ),
        test("its handler panics", 13, failed()),
        summary("names no object", json!({ "source": bucket }), failed()),
        summary(
            "input does not exist",
            json!({ "source": missing }),
            failed(),
        ),
        summary(
            "input has a bad line",
            json!({ "source": broken }),
            failed(),
        ),
        test("a small job", 2, succeeded(1)),
        test("a small job", 3, succeeded(1)),
    ]
}

/// A job that the API has accepted.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) about: &'static str,
    pub(super) id: JobId,
    pub(super) job_type: &'static str,
    pub(super) status: JobStatus,
    /// The assignment that ran it, once it has ended.
    pub(super) assignment: Option<AssignmentRecord>,
    /// What was downloaded.
    pub(super) outputs: Outputs,
    /// The status and number of output files it should end with.
    expected: (JobStatus, usize),
}

/// Output files.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outputs {
    pub(super) files: usize,
    pub(super) bytes: u64,
}

/// Submits a job; `None` if the API has refused it, as it should.
pub(super) async fn submit(client: &Client, plan: JobPlan) -> Result<Option<Job>, Failure> {
    let JobPlan {
        about,
        job_type,
        payload,
        expected,
    } = plan;
    let created = client.create_job(&JobType::from(job_type), &payload).await;
    match (created, expected) {
        (
            Err(ApiError::Refused {
                status, message, ..
            }),
            None,
        ) => {
            step("refused", format_args!("{about}: {status} {message}"));
            Ok(None)
        }
        (Ok(_), None) => Err(Failure::new(format!(
            "the API accepted a {job_type} that it should refuse ({about})"
        ))),
        (Err(error), _) => Err(error).doing(format_args!("submitting {job_type} ({about})")),
        (Ok(created), Some(expected)) => Ok(Some(Job {
            about,
            id: created.job_id,
            job_type,
            status: JobStatus::Pending,
            assignment: None,
            outputs: Outputs::default(),
            expected,
        })),
    }
}

impl Job {
    /// Updates the job from the API's answer; `false` if its status is the same as before.
    pub(super) fn update(&mut self, details: &JobDetails) -> bool {
        let ran = |assignment: &&AssignmentRecord| assignment.completed_at.is_some();
        self.assignment = details.assignments.iter().find(ran).cloned();
        let before = std::mem::replace(&mut self.status, details.job.status.clone());
        before != self.status
    }

    /// Whether its status is the one it should end with.
    pub(super) fn has_expected_status(&self) -> bool {
        self.status == self.expected.0
    }

    /// The seconds from its claim to its result, by the API's clock.
    pub(super) fn seconds(&self) -> Option<f64> {
        let assignment = self.assignment.as_ref()?;
        let (claimed, completed) = (assignment.created_at?, assignment.completed_at?);
        Some(
            completed
                .as_millisecond()
                .saturating_sub(claimed.as_millisecond()) as f64
                / 1000.0,
        )
    }

    /// Fails unless it ended with the expected status and number of output files.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let (status, expected) = &self.expected;
        let outputs = self.outputs.files;
        if self.has_expected_status() && outputs == *expected {
            return Ok(());
        }
        Err(Failure::new(format!(
            "job {} ({}: {}) ended {} with {outputs} outputs; it should have ended {status} with {expected}",
            self.id, self.job_type, self.about, self.status
        )))
    }
}

#[cfg(test)]
impl Job {
    /// Job 7, which has ended with `status` and should have ended with `expected`.
    pub(super) fn ended(status: JobStatus, expected: (JobStatus, usize)) -> Self {
        let assignment = json!({
            "id": 1,
            "job_id": 7,
            "created_at": "2026-01-01T00:00:00.250Z",
            "completed_at": "2026-01-01T00:00:01.500Z",
            "storage_uri": "s3://bucket/results/test/7/1",
        });
        Self {
            about: "a small job",
            id: JobId::from(7),
            job_type: TEST,
            status,
            assignment: serde_json::from_value(assignment).ok(),
            outputs: Outputs::default(),
            expected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use JobStatus::{Failed, Succeeded};

    fn check(status: JobStatus, files: usize, expected: (JobStatus, usize)) -> Result<(), Failure> {
        let mut job = Job::ended(status, expected);
        job.outputs.files = files;
        job.check()
    }

    #[test]
    fn a_job_that_ends_as_expected_passes() {
        assert!(check(Succeeded, 2, (Succeeded, 2)).is_ok());
        assert!(check(Failed, 0, (Failed, 0)).is_ok());
    }

    #[test]
    fn a_job_that_does_not_end_as_expected_fails_the_demo() {
        for (status, outputs, expected) in [
            (Failed, 0, (Succeeded, 1)),
            (Succeeded, 1, (Failed, 0)),
            (Succeeded, 1, (Succeeded, 2)),
        ] {
            let error = check(status, outputs, expected).unwrap_err();
            assert!(error.to_string().starts_with("job 7 (TEST: a small job)"));
        }
    }

    #[test]
    fn seconds_are_counted_from_the_claim_to_the_result() {
        let job = Job::ended(Succeeded, (Succeeded, 1));
        assert_eq!(job.seconds(), Some(1.25));
    }
}
