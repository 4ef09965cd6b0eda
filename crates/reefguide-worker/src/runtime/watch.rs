//! Checking while a job runs whether its outcome is still wanted.

use std::time::Duration;

use super::observer::Observer;
use crate::Chain;
use crate::job::Claim;
use crate::source::{ClaimStatus, JobSource};

/// Asks the source at intervals, and returns why the outcome is no longer wanted. A job counts as gone only when two
/// answers in a row say so. Cancel safe.
pub(super) async fn ended(
    source: &dyn JobSource,
    observer: &Observer,
    claim: &Claim,
    interval: Option<Duration>,
) -> String {
    let Some(interval) = interval else {
        return std::future::pending().await;
    };
    let mut was_gone = false;
    loop {
        // Random, so that the requests of a fleet are spread out.
        let wait = interval.mul_f64(0.75 + fastrand::f64() / 2.0);
        tokio::time::sleep(wait).await;
        let status = source.claim_status(claim).await;
        if status.is_ok() {
            observer.contact();
        }
        let is_gone = matches!(status, Ok(ClaimStatus::Gone));
        match status {
            Ok(ClaimStatus::Held) => {}
            Ok(ClaimStatus::Ended { reason }) => return reason,
            Ok(ClaimStatus::Gone) if was_gone => return "the job is gone".to_owned(),
            Ok(ClaimStatus::Gone) => {
                tracing::warn!("the job seems to be gone, asking again");
            }
            // The job goes on: the next answer decides, or the report.
            Err(error) => {
                tracing::debug!(error = %Chain(&error), "cannot tell whether the claim stands");
            }
        }
        was_gone = is_gone;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use async_trait::async_trait;
    use serde_json::json;
    use tokio::time::Instant;

    use crate::job::{Assignment, Job, JobId, JobType, Outcome};
    use crate::observe::health::Health;
    use crate::observe::metrics::Metrics;
    use crate::source::{Claimed, Delivery, SourceError};

    /// Answers questions about a claim as scripted, and then that it is held.
    struct Scripted(Mutex<VecDeque<Option<ClaimStatus>>>);

    #[async_trait]
    impl JobSource for Scripted {
        async fn poll(&self, _: &JobType) -> Result<Vec<Job>, SourceError> {
            Ok(Vec::new())
        }

        async fn claim(&self, _: &Job) -> Result<Claimed, SourceError> {
            Ok(Claimed::Taken)
        }

        fn claimant(&self) -> &str {
            "scripted"
        }

        async fn recover(&self, _: &JobId, _: &str) -> Result<Option<Claim>, SourceError> {
            Ok(None)
        }

        async fn claim_status(&self, _: &Claim) -> Result<ClaimStatus, SourceError> {
            let next = self.0.lock().unwrap().pop_front();
            next.unwrap_or(Some(ClaimStatus::Held))
                .ok_or(SourceError::Unavailable {
                    retry_after: None,
                    source: "a page".into(),
                })
        }

        async fn deliver(&self, _: &Claim, _: &Outcome) -> Result<Delivery, SourceError> {
            Ok(Delivery::Recorded)
        }
    }

    /// After how many answers a job is given up; `None` if it is not given up within a day.
    async fn given_up_after(answers: &[Option<ClaimStatus>]) -> Option<usize> {
        let source = Scripted(Mutex::new(answers.iter().cloned().collect()));
        let claim = Claim {
            job: Job {
                id: 1.into(),
                job_type: "TEST".into(),
                payload: json!({}),
                created_at: None,
                unreadable: None,
            },
            assignment: Assignment {
                id: 1.into(),
                storage_uri: "s3://bucket/results".into(),
                expires_at: None,
            },
            claimed_at: Instant::now(),
            lease: None,
        };
        let observer = Observer::new(Health::new(1), Metrics::new());
        let minute = Some(Duration::from_secs(60));
        let ended = ended(&source, &observer, &claim, minute);
        let day = Duration::from_secs(24 * 60 * 60);
        let reason = tokio::time::timeout(day, ended).await.ok()?;
        assert_eq!(reason, "the job is gone");
        Some(answers.len() - source.0.lock().unwrap().len())
    }

    #[tokio::test(start_paused = true)]
    async fn a_running_job_is_gone_only_if_two_answers_in_a_row_say_so() {
        let (gone, held) = (Some(ClaimStatus::Gone), Some(ClaimStatus::Held));
        let error = None;
        let answers = [&gone, &gone, &held].map(Clone::clone);
        assert_eq!(given_up_after(&answers).await, Some(2));
        let answers = [&gone, &held, &gone, &error, &gone, &held].map(Clone::clone);
        assert_eq!(given_up_after(&answers).await, None);
        let answers = [&gone, &error, &gone, &gone].map(Clone::clone);
        assert_eq!(given_up_after(&answers).await, Some(4));
    }
}
