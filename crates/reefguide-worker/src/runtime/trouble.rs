//! What keeps a worker from beginning jobs though it runs: trouble of its own, which must not fail a job.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::job::JobType;
use crate::ledger::Limit;
use crate::observe::health::Health;
use crate::retry::{Delays, RetryPolicy};

/// Between tries of what the worker has to do before a handler can begin. They press nobody else, so they need no
/// jitter.
pub(super) const WAITS: RetryPolicy = RetryPolicy::new(Duration::from_secs(1))
    .cap(Duration::from_secs(30))
    .unlimited()
    .without_jitter();

/// A handler that has run for as long has begun.
const BEGUN: Duration = Duration::from_secs(5);

/// The trouble there is. While it lasts, jobs that it would strike are not claimed, and the worker is not ready if
/// that is all of them.
#[derive(Debug)]
pub(super) struct Troubles {
    health: Health,
    /// How many types are polled.
    job_types: usize,
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    /// Why there is no scratch folder.
    scratch: Option<String>,
    /// How many attempts at jobs of a type cannot begin, and why.
    attempts: BTreeMap<JobType, (usize, String)>,
}

impl Troubles {
    pub(super) fn new(health: &Health, job_types: usize) -> Self {
        Self {
            health: health.clone(),
            job_types,
            now: Mutex::default(),
        }
    }

    /// No scratch folder can be made, for this reason; with `None` it can.
    pub(super) fn scratch(&self, reason: Option<String>) {
        self.change(|now| now.scratch = reason);
    }

    /// Whether an attempt at a job of this type cannot begin.
    pub(super) fn strikes(&self, job_type: &JobType) -> bool {
        self.now().attempts.contains_key(job_type)
    }

    fn change(&self, change: impl FnOnce(&mut Now)) {
        let mut now = self.now();
        change(&mut now);
        let all_types = now.attempts.len() >= self.job_types;
        let mut reasons = now.attempts.values().map(|(_, reason)| reason);
        let of_types = reasons.next().filter(|_| all_types);
        let reason = now.scratch.as_ref().or(of_types).cloned();
        self.health.hindered(reason);
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The trouble that one attempt at a job may have.
pub(super) struct Trouble<'a> {
    troubles: &'a Troubles,
    job_type: &'a JobType,
    limit: Limit<'a>,
    /// `None`: there is none.
    waits: Option<Delays>,
}

impl<'a> Trouble<'a> {
    pub(super) fn new(troubles: &'a Troubles, job_type: &'a JobType, limit: Limit<'a>) -> Self {
        Self {
            troubles,
            job_type,
            limit,
            waits: None,
        }
    }

    /// The attempt could not begin: waits until it is worth another try.
    ///
    /// # Errors
    /// Why the job has failed after all, when there is no time for that.
    pub(super) async fn wait(&mut self, reason: String) -> Result<(), String> {
        let first = self.waits.is_none();
        let waits = self.waits.get_or_insert_with(|| WAITS.delays());
        let delay = waits.next().unwrap_or_default();
        self.troubles.change(|now| {
            let (attempts, why) = now.attempts.entry(self.job_type.clone()).or_default();
            *attempts += usize::from(first);
            why.clone_from(&reason);
        });
        if first {
            tracing::warn!(
                error = reason,
                delay_s = delay.as_secs_f64(),
                "attempt cannot begin, trying again until it can"
            );
        }
        let slept = self.limit.run(sleep(delay)).await;
        slept.map_err(|reached| format!("{reason} (not tried again: {reached})"))
    }

    /// Runs the attempt. The trouble is over as soon as it must have begun.
    pub(super) async fn during<T>(&mut self, attempt: impl Future<Output = T>) -> T {
        let mut attempt = pin!(attempt);
        if let Ok(done) = timeout(BEGUN, &mut attempt).await {
            return done;
        }
        self.over();
        attempt.await
    }

    /// The attempt has begun.
    pub(super) fn over(&mut self) {
        if self.waits.take().is_none() {
            return;
        }
        self.troubles.change(|now| {
            if let Some((attempts, _)) = now.attempts.get_mut(self.job_type) {
                *attempts -= 1;
                if *attempts == 0 {
                    now.attempts.remove(self.job_type);
                }
            }
        });
    }
}

impl Drop for Trouble<'_> {
    fn drop(&mut self) {
        self.over();
    }
}
