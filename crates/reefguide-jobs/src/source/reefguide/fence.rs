//! The fence that leaves a job to one worker (API contract, "Claiming is a race that the server does not decide").
//!
//! The API assigns a job to every worker that asks at the same moment, so an assignment does not entitle a worker to run
//! the job. After a settle delay, in which the other assignments become visible, the worker reads the job back. The lowest
//! assignment wins, unless another one has a result. The other workers drop the job.

use reefguide_client::{AssignmentRecord, JobDetails};

use crate::job::AssignmentId;

/// Whether the job has this assignment.
pub(super) fn lists(details: &JobDetails, assignment: &AssignmentId) -> bool {
    let mut records = details.assignments.iter();
    records.any(|record| record.id == *assignment)
}

/// The open assignment of a job to `claimant`.
pub(super) fn held_by<'a>(details: &'a JobDetails, claimant: &str) -> Option<&'a AssignmentRecord> {
    let held = |record: &&AssignmentRecord| {
        record.ecs_task_arn == claimant && record.completed_at.is_none()
    };
    details
        .assignments
        .iter()
        .filter(held)
        .min_by_key(|record| &record.id)
}

/// Whether the holder of the assignment `ours` may run the job: no assignment has a result, and no lower one is open.
pub(super) fn may_go_on(details: &JobDetails, ours: &AssignmentRecord) -> bool {
    let is_open = |record: &AssignmentRecord| record.completed_at.is_none();
    // The result of an assignment that expired before ours was made is from an earlier round: the job was put back and
    // offered again. Any other result is from a worker in the same race.
    let has_result = |record: &AssignmentRecord| {
        !is_open(record) && (record.expires_at.is_none() || record.expires_at > ours.created_at)
    };
    !details.job.status.is_final()
        && is_open(ours)
        && !details.assignments.iter().any(has_result)
        && details
            .assignments
            .iter()
            .filter(|record| is_open(record))
            .all(|record| ours.id <= record.id)
}

/// Why there is no use for an outcome of the assignment `ours`, if there is none.
pub(super) fn why_ended(details: &JobDetails, ours: &AssignmentId) -> Option<String> {
    let status = &details.job.status;
    if status.is_final() {
        return Some(format!("the job is {status}"));
    }
    let mut records = details.assignments.iter();
    let reported = records.any(|record| record.id == *ours && record.completed_at.is_some());
    reported.then(|| "its assignment has a result".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A job with assignments, given as (id, completed). Each is made an hour after the one before and is valid for an hour;
    /// if `raced`, all are made at once.
    fn details(status: &str, raced: bool, assignments: &[(i64, bool)]) -> JobDetails {
        let assignments: Vec<_> = assignments
            .iter()
            .enumerate()
            .map(|(nth, (id, completed))| {
                let hour = if raced { 0 } else { nth };
                let at = |hour: usize| format!("2026-11-22T{hour:02}:00:00Z");
                json!({
                    "id": id, "job_id": 1, "storage_uri": "s3://bucket/results",
                    "created_at": at(hour), "expires_at": at(hour + 1),
                    "completed_at": completed.then(|| at(hour)),
                })
            })
            .collect();
        let job = json!({ "id": 1, "type": "TEST", "status": status, "assignments": assignments });
        serde_json::from_value(job).unwrap()
    }

    fn goes_on(details: &JobDetails, ours: i64) -> bool {
        let ours = details
            .assignments
            .iter()
            .find(|record| record.id == ours.into());
        may_go_on(details, ours.unwrap())
    }

    #[test]
    fn the_lowest_assignment_alone_goes_on_in_whatever_order_they_are_listed() {
        for order in [[9, 10, 11], [11, 9, 10], [10, 11, 9]] {
            let details = details("IN_PROGRESS", true, &order.map(|id| (id, false)));
            let winners: Vec<_> = order
                .into_iter()
                .filter(|id| goes_on(&details, *id))
                .collect();
            assert_eq!(winners, [9]);
        }
    }

    #[test]
    fn no_worker_goes_on_once_another_has_posted_a_result() {
        for winner in [1, 3] {
            let details = details("IN_PROGRESS", true, &[(winner, true), (2, false)]);
            assert!(!goes_on(&details, 2), "after {winner}");
        }
    }

    #[test]
    fn a_job_that_was_put_back_is_run_by_the_next_worker_that_claims_it() {
        assert!(goes_on(
            &details("IN_PROGRESS", false, &[(1, true), (2, false)]),
            2
        ));
    }

    #[test]
    fn a_claim_ends_with_its_job_or_with_a_result() {
        let why = |status, completed| {
            let details = details(status, true, &[(1, completed), (2, false)]);
            why_ended(&details, &1.into())
        };
        assert_eq!(why("IN_PROGRESS", false), None);
        for status in ["SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT"] {
            assert_eq!(why(status, false), Some(format!("the job is {status}")));
        }
        let reported = Some("its assignment has a result".to_owned());
        assert_eq!(why("IN_PROGRESS", true), reported);
    }

    #[test]
    fn a_job_that_has_ended_is_not_run() {
        for status in ["SUCCEEDED", "FAILED", "CANCELLED", "TIMED_OUT"] {
            assert!(
                !goes_on(&details(status, true, &[(1, false)]), 1),
                "{status}"
            );
        }
    }
}
