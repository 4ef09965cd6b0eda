//! What keeps a running worker from starting jobs: problems of the worker itself, such as a full disk. They must not
//! fail a job, so the worker waits until they are gone.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::observer::Observer;
use crate::job::JobType;
use crate::ledger::Limit;
use crate::retry::{Delays, RetryPolicy};

/// Between tries of what the worker has to do before a handler can start. They put no load on a service, so they need
/// no jitter.
pub(super) const START_RETRY: RetryPolicy = RetryPolicy::new(Duration::from_secs(1))
    .cap(Duration::from_secs(30))
    .unlimited()
    .without_jitter();

/// A handler that has run for this long has started.
const STARTED: Duration = Duration::from_secs(5);

/// All blockers of a worker. While one lasts, the jobs that it affects are not claimed, and a worker that can claim no
/// job at all is not ready.
#[derive(Debug)]
pub(super) struct Blockers {
    observer: Observer,
    /// How many types are polled.
    job_types: usize,
    current: Mutex<Current>,
}

#[derive(Debug, Default)]
struct Current {
    /// Why there is no scratch folder.
    scratch: Option<String>,
    /// How many attempts at jobs of a type cannot start, and why.
    attempts: BTreeMap<JobType, (usize, String)>,
}

impl Blockers {
    pub(super) fn new(observer: &Observer, job_types: usize) -> Self {
        Self {
            observer: observer.clone(),
            job_types,
            current: Mutex::default(),
        }
    }

    /// No scratch folder can be made, for this reason; with `None` it can.
    pub(super) fn set_scratch(&self, reason: Option<String>) {
        self.change(|current| current.scratch = reason);
    }

    /// Whether an attempt at a job of this type cannot start.
    pub(super) fn affect(&self, job_type: &JobType) -> bool {
        self.current().attempts.contains_key(job_type)
    }

    fn change(&self, change: impl FnOnce(&mut Current)) {
        let mut current = self.current();
        change(&mut current);
        let all_types = current.attempts.len() >= self.job_types;
        let mut reasons = current.attempts.values().map(|(_, reason)| reason);
        let of_types = reasons.next().filter(|_| all_types);
        let reason = current.scratch.as_ref().or(of_types).cloned();
        self.observer.blocked(reason);
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What keeps one attempt at a job from starting, if anything does.
pub(super) struct AttemptBlocker<'a> {
    blockers: &'a Blockers,
    job_type: &'a JobType,
    limit: Limit<'a>,
    /// `None`: nothing does.
    waits: Option<Delays>,
}

impl<'a> AttemptBlocker<'a> {
    pub(super) fn new(blockers: &'a Blockers, job_type: &'a JobType, limit: Limit<'a>) -> Self {
        Self {
            blockers,
            job_type,
            limit,
            waits: None,
        }
    }

    /// The attempt could not start: waits until it is time for another try.
    ///
    /// # Errors
    /// Why the job has failed, when there is no time for another try.
    pub(super) async fn wait(&mut self, reason: String) -> Result<(), String> {
        let first = self.waits.is_none();
        let waits = self.waits.get_or_insert_with(|| START_RETRY.delays());
        let delay = waits.next().unwrap_or_default();
        self.blockers.change(|current| {
            let (attempts, why) = current.attempts.entry(self.job_type.clone()).or_default();
            *attempts += usize::from(first);
            why.clone_from(&reason);
        });
        if first {
            tracing::warn!(
                error = reason,
                delay_s = delay.as_secs_f64(),
                "attempt cannot start, trying again until it can"
            );
        }
        let slept = self.limit.run(sleep(delay)).await;
        slept.map_err(|reached| format!("{reason} (not tried again: {reached})"))
    }

    /// Runs the attempt. The blocker is cleared as soon as the handler must have started.
    pub(super) async fn run<T>(&mut self, attempt: impl Future<Output = T>) -> T {
        let mut attempt = pin!(attempt);
        if let Ok(done) = timeout(STARTED, &mut attempt).await {
            return done;
        }
        self.clear();
        attempt.await
    }

    /// The attempt has started.
    pub(super) fn clear(&mut self) {
        if self.waits.take().is_none() {
            return;
        }
        self.blockers.change(|current| {
            if let Some((attempts, _)) = current.attempts.get_mut(self.job_type) {
                *attempts -= 1;
                if *attempts == 0 {
                    current.attempts.remove(self.job_type);
                }
            }
        });
    }
}

impl Drop for AttemptBlocker<'_> {
    fn drop(&mut self) {
        self.clear();
    }
}
