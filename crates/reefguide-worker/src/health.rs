//! Whether the worker still does what it is there for.
//!
//! The runtime says what happens, the health server asks. A worker that is alive but deaf is not
//! healthy: what counts is that the poll loop turns and that the API answers.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// How long the poll loop may take for one turn before the worker counts as unhealthy.
pub const TURN_LIMIT: Duration = Duration::from_secs(60);

/// How long the API may be silent before the worker counts as unhealthy.
pub const CONTACT_LIMIT: Duration = Duration::from_secs(120);

/// A handle on the worker's health; clones share it.
///
/// With all slots taken nothing is polled, so neither limit applies; both are counted anew from the
/// moment a slot is free again. [`Health::rest`] excuses a pause in the same way.
///
/// ```
/// use reefguide_worker::health::Health;
///
/// let health = Health::new(2);
/// health.job_started();
/// let report = health.report();
/// assert_eq!((report.active_jobs, report.max_jobs), (1, 2));
/// assert_eq!(report.ailment, None);
/// ```
#[derive(Clone, Debug)]
pub struct Health(Arc<State>);

/// Times are milliseconds since `born`.
#[derive(Debug)]
struct State {
    born: Instant,
    max_jobs: usize,
    active_jobs: watch::Sender<usize>,
    turned: AtomicU64,
    contact: AtomicU64,
    excused_until: AtomicU64,
}

impl Health {
    /// The health of a worker with `max_jobs` slots that starts now.
    pub fn new(max_jobs: usize) -> Self {
        Self(Arc::new(State {
            born: Instant::now(),
            max_jobs,
            active_jobs: watch::Sender::new(0),
            turned: AtomicU64::new(0),
            contact: AtomicU64::new(0),
            excused_until: AtomicU64::new(0),
        }))
    }

    /// A slot is taken.
    pub fn job_started(&self) {
        self.0.active_jobs.send_modify(|jobs| *jobs += 1);
    }

    /// A slot is free again. Once for each [`Health::job_started`].
    pub fn job_ended(&self) {
        // Before the slot: a report in between must not see a free slot and old times.
        self.rest(Duration::ZERO);
        self.0.active_jobs.send_modify(|jobs| *jobs -= 1);
    }

    /// How many slots are taken, to be followed.
    pub fn active_jobs(&self) -> watch::Receiver<usize> {
        self.0.active_jobs.subscribe()
    }

    /// The poll loop has begun another turn.
    pub fn polled(&self) {
        self.0.turned.fetch_max(self.now(), Ordering::Relaxed);
    }

    /// The API has answered.
    pub fn contact(&self) {
        self.0.contact.fetch_max(self.now(), Ordering::Relaxed);
    }

    /// The poll loop pauses on purpose, for example because the API asked for it with `Retry-After`:
    /// the limits are counted from the end of the pause.
    pub fn rest(&self, pause: Duration) {
        let end = self.now().saturating_add(millis(pause));
        self.0.excused_until.fetch_max(end, Ordering::Relaxed);
    }

    /// How things stand at this moment.
    pub fn report(&self) -> Report {
        let state = &*self.0;
        let active_jobs = *state.active_jobs.borrow();
        let ailment = if active_jobs >= state.max_jobs {
            None
        } else {
            let silent_for = |since: &AtomicU64, limit| {
                let excused = state.excused_until.load(Ordering::Relaxed);
                let since = since.load(Ordering::Relaxed).max(excused);
                let time = Duration::from_millis(self.now().saturating_sub(since));
                (time > limit).then_some(time)
            };
            let stuck = silent_for(&state.turned, TURN_LIMIT).map(Ailment::Stuck);
            stuck.or_else(|| silent_for(&state.contact, CONTACT_LIMIT).map(Ailment::NoContact))
        };
        Report {
            active_jobs,
            max_jobs: state.max_jobs,
            ailment,
        }
    }

    fn now(&self) -> u64 {
        millis(self.0.born.elapsed())
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How the worker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Slots taken.
    pub active_jobs: usize,
    /// Slots in all.
    pub max_jobs: usize,
    /// What is wrong; `None` when the worker is healthy.
    pub ailment: Option<Ailment>,
}

/// Why a worker is not healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ailment {
    /// The poll loop has not turned for this long.
    Stuck(Duration),
    /// The API has not answered for this long.
    NoContact(Duration),
}

impl fmt::Display for Ailment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, time, limit) = match self {
            Self::Stuck(time) => ("the poll loop has not turned", time, TURN_LIMIT),
            Self::NoContact(time) => ("the API has not answered", time, CONTACT_LIMIT),
        };
        write!(
            f,
            "{what} for {} s (limit {} s)",
            time.as_secs(),
            limit.as_secs()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const MOMENT: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_stopped_turning_is_unhealthy_although_the_api_answers() {
        let health = Health::new(1);
        advance(TURN_LIMIT).await;
        health.contact();
        assert_eq!(health.report().ailment, None);
        advance(MOMENT).await;
        assert_eq!(
            health.report().ailment,
            Some(Ailment::Stuck(TURN_LIMIT + MOMENT))
        );
        health.polled();
        assert_eq!(health.report().ailment, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_turns_but_hears_nothing_is_unhealthy() {
        let health = Health::new(1);
        advance(CONTACT_LIMIT + MOMENT).await;
        health.polled();
        let ailment = health.report().ailment.unwrap();
        assert_eq!(ailment, Ailment::NoContact(CONTACT_LIMIT + MOMENT));
        assert_eq!(
            ailment.to_string(),
            "the API has not answered for 120 s (limit 120 s)"
        );
        health.contact();
        assert_eq!(health.report().ailment, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_whose_slots_are_all_taken_is_healthy_without_polling() {
        let health = Health::new(1);
        health.job_started();
        advance(CONTACT_LIMIT * 10).await;
        assert_eq!(health.report().ailment, None);
        health.job_ended();
        assert_eq!(health.report().ailment, None, "the limits count anew");
        advance(TURN_LIMIT + MOMENT).await;
        assert_ne!(health.report().ailment, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_free_slot_beside_a_running_job_must_still_be_polled_for() {
        let health = Health::new(2);
        health.job_started();
        advance(TURN_LIMIT + MOMENT).await;
        assert_ne!(health.report().ailment, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_is_excused_and_no_longer() {
        let health = Health::new(1);
        let pause = Duration::from_secs(900);
        health.rest(pause);
        health.rest(Duration::ZERO);
        advance(pause + TURN_LIMIT).await;
        assert_eq!(health.report().ailment, None);
        advance(MOMENT).await;
        assert_ne!(health.report().ailment, None);
    }
}
