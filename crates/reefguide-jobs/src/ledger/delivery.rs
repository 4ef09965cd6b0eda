//! Delivering an outcome to the source, with retries until the limit is reached.

use std::time::Duration;

use super::deadline::{Limit, Reached};
use super::guard::ClaimGuard;
use crate::job::{Claim, JobStatus, Outcome};
use crate::source::{Delivery, JobSource, SourceError};
use reefguide_transport::Chain;
use reefguide_transport::retry::RetryPolicy;

const RETRY: RetryPolicy = RetryPolicy::new(Duration::from_millis(500))
    .cap(Duration::from_secs(15))
    .unlimited();

/// After this many refusals of a failure, delivery is given up.
const REFUSALS: usize = 5;

/// Why an outcome was not delivered.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The source refused it several times.
    #[error("the source refused the outcome")]
    Refused(#[source] SourceError),
    /// Another worker has reported the job, or its submitter has cancelled it.
    #[error("the job was reported as {status} before")]
    Superseded {
        /// The job's status.
        status: JobStatus,
        /// Whether that was before this worker had posted anything, so that no result refers to its outputs.
        unposted: bool,
    },
    /// The limit was reached.
    #[error("not delivered in time: {reached}")]
    OutOfTime {
        /// Which limit.
        reached: Reached,
        /// The last error of the source, if there was one.
        #[source]
        last: Option<SourceError>,
    },
}

/// Is notified of the tries of a delivery.
pub trait DeliveryObserver: Send + Sync {
    /// The source accepted an outcome, or already had one.
    fn delivered(&self) {}
    /// Delivery is tried again.
    fn tried_again(&self) {}
}

/// Observes nothing.
impl DeliveryObserver for () {}

/// Delivers an outcome and returns the outcome that the source recorded. If the source refuses a result, the job is reported
/// as failed.
///
/// A success is noted in the claim's record before it is delivered. A failure is noted only if its first delivery fails,
/// because a record without an outcome counts as a failure.
pub async fn deliver(
    source: &dyn JobSource,
    observer: &dyn DeliveryObserver,
    claim: &Claim,
    mut outcome: Outcome,
    record: &ClaimGuard,
    limit: Limit<'_>,
) -> Result<Outcome, DeliveryError> {
    let mut delays = RETRY.delays();
    let mut last = None;
    let mut refusals = 0;
    let mut noted = false;
    if let Outcome::Succeeded { .. } = outcome {
        noted = limit.run(record.note(&outcome)).await.is_ok();
    }
    loop {
        let delivered = limit.run(source.deliver(claim, &outcome)).await;
        if let Ok(Ok(_)) = &delivered {
            observer.delivered();
        }
        let error = match delivered {
            Ok(Ok(Delivery::Recorded)) => return Ok(outcome),
            Ok(Ok(Delivery::AlreadyRecorded(status))) => {
                return match status {
                    Some(status) if status != outcome.status() => {
                        let unposted = last.is_none();
                        Err(DeliveryError::Superseded { status, unposted })
                    }
                    _ => Ok(outcome),
                };
            }
            Ok(Err(error)) => error,
            Err(reached) => return Err(DeliveryError::OutOfTime { reached, last }),
        };
        match error {
            SourceError::ResultRefused { .. } if matches!(outcome, Outcome::Succeeded { .. }) => {
                let reason = Chain(&error).to_string();
                tracing::error!(
                    error = reason,
                    storage_uri = claim.assignment.storage_uri,
                    "result refused, reporting the job as failed; its outputs are kept"
                );
                outcome = Outcome::Failed { reason };
                noted = limit.run(record.note(&outcome)).await.is_ok();
                continue;
            }
            // A report of a failure has no payload that could be refused, so retry; accept a refusal that persists.
            SourceError::ResultRefused { .. } | SourceError::Refused { .. } => {
                refusals += 1;
                if refusals == REFUSALS {
                    return Err(DeliveryError::Refused(error));
                }
            }
            // An account that is denied may get access again before the lease ends.
            SourceError::Unavailable { .. } | SourceError::Denied { .. } => {}
        }
        if !noted {
            noted = limit.run(record.note(&outcome)).await.is_ok();
        }
        let delay = delays
            .next()
            .unwrap_or_default()
            .max(error.retry_after().unwrap_or_default());
        tracing::warn!(error = %Chain(&error), delay_s = delay.as_secs_f64(), "outcome not delivered yet, trying again");
        if let Err(reached) = limit.run(tokio::time::sleep(delay)).await {
            return Err(DeliveryError::OutOfTime {
                reached,
                last: Some(error),
            });
        }
        observer.tried_again();
        last = Some(error);
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
    use tokio_util::sync::CancellationToken;

    use crate::job::{Assignment, Job, JobId, JobType};
    use crate::source::Claimed;

    /// Answers deliveries with scripted errors, then records outcomes.
    #[derive(Default)]
    struct Scripted {
        answers: Mutex<VecDeque<SourceError>>,
        delivered: Mutex<Vec<Outcome>>,
    }

    impl Scripted {
        fn new(answers: impl IntoIterator<Item = SourceError>) -> Self {
            Self {
                answers: Mutex::new(answers.into_iter().collect()),
                ..Self::default()
            }
        }
    }

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

        async fn deliver(&self, _: &Claim, outcome: &Outcome) -> Result<Delivery, SourceError> {
            self.delivered.lock().unwrap().push(outcome.clone());
            self.answers
                .lock()
                .unwrap()
                .pop_front()
                .map_or(Ok(Delivery::Recorded), Err)
        }
    }

    fn unavailable(retry_after: Option<Duration>) -> SourceError {
        SourceError::Unavailable {
            retry_after,
            source: "away".into(),
        }
    }

    fn claim() -> Claim {
        Claim {
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
            lease: Some(Duration::from_secs(3600)),
        }
    }

    async fn delivered(source: &Scripted) -> Result<Outcome, DeliveryError> {
        let (claim, shutdown) = (claim(), CancellationToken::new());
        let limit = Limit {
            shutdown: &shutdown,
            end: claim.lease_end().map(|end| (end, Reached::Lease)),
            ended: None,
        };
        deliver(
            source,
            &(),
            &claim,
            Outcome::Succeeded { result: json!({}) },
            &ClaimGuard::none(),
            limit,
        )
        .await
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_is_obeyed() {
        let asked = Duration::from_secs(900);
        let source = Scripted::new([unavailable(Some(asked))]);
        let started = Instant::now();
        delivered(&source).await.unwrap();
        assert_eq!(started.elapsed(), asked);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_waited_out_until_the_lease_ends_and_no_longer() {
        let source = Scripted::new((0..10_000).map(|_| unavailable(None)));
        let started = Instant::now();
        let error = delivered(&source).await.unwrap_err();
        assert_eq!(started.elapsed(), Duration::from_secs(3600));
        insta::assert_snapshot!(
            Chain(&error),
            @"not delivered in time: its lease is running out: job source unavailable: away"
        );
        let tries = source.delivered.lock().unwrap().len();
        assert!((240..2_000).contains(&tries), "{tries} tries in an hour");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_result_is_reported_as_a_failure_at_once() {
        let source = Scripted::new([SourceError::ResultRefused {
            source: "wrong key".into(),
        }]);
        let started = Instant::now();
        let outcome = delivered(&source).await.unwrap();
        let reason = "result refused: wrong key".into();
        assert_eq!(outcome, Outcome::Failed { reason });
        assert_eq!(started.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refused_failure_is_tried_again_but_not_for_ever() {
        let refused = || SourceError::ResultRefused {
            source: "no".into(),
        };
        let source = Scripted::new((0..REFUSALS).map(|_| refused()));
        let outcome = delivered(&source).await.unwrap();
        assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
        let source = Scripted::new((0..100).map(|_| refused()));
        let error = delivered(&source).await.unwrap_err();
        assert!(matches!(error, DeliveryError::Refused(_)), "{error}");
        assert_eq!(source.delivered.lock().unwrap().len(), 1 + REFUSALS);
    }
}
