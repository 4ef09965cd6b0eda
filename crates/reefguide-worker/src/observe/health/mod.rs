//! Whether the worker is able to run jobs.
//!
//! The runtime notes events, and the health server reads them. A process that is alive, but out of contact or stuck, is
//! not healthy: the poll loop must make progress, the API must answer, and the async threads must not be blocked.

mod report;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reefguide_client::TokenObserver;
use tokio::sync::watch;
use tokio::time::Instant;

pub use self::report::{LIMIT, Phase, Report, STALL_LIMIT, Token, UnhealthyReason};
use self::state::{ANSWER_TIME, Blocked, State, TokenLife};

/// A handle on the worker's health; clones share it.
///
/// While all slots are taken, the poll loop waits. Then the API has to answer when it is asked whether running jobs are
/// still wanted, and when outcomes are delivered. [`Health::excuse_pause`] excuses a pause.
///
/// ```
/// use reefguide_worker::observe::health::{Health, Phase};
///
/// let health = Health::new(2);
/// assert_eq!(health.report().unready().unwrap(), "starting: the API has not answered yet");
/// health.enter(Phase::Working);
/// health.job_started();
/// let report = health.report();
/// assert_eq!((report.active_jobs, report.max_jobs), (1, 2));
/// assert_eq!(report.unready(), None);
/// ```
#[derive(Clone, Debug)]
pub struct Health(Arc<Mutex<State>>);

impl TokenObserver for Health {
    fn renewed(&self, since: Instant, end: Instant) {
        self.state().token = Some(TokenLife { since, end });
    }
}

impl Health {
    /// The health of a worker with `max_jobs` slots that starts now.
    pub fn new(max_jobs: usize) -> Self {
        Self(Arc::new(Mutex::new(State::new(max_jobs))))
    }

    /// Sets how often the API is asked: with a slot free, and while jobs run (`None`: not at all). By default often
    /// enough for [`LIMIT`].
    pub fn set_intervals(&self, poll: Duration, watch: Option<Duration>) {
        let limit = |longest: Duration| longest.saturating_add(ANSWER_TIME).max(LIMIT);
        let mut state = self.state();
        state.poll_limit = limit(poll);
        // The watch interval varies by a quarter.
        state.watch_limit = watch.map(|watch| limit(watch.saturating_mul(5) / 4));
    }

    /// The worker enters another phase; the limits start again.
    pub fn enter(&self, phase: Phase) {
        let mut state = self.state();
        state.reset();
        state.phase = phase;
    }

    /// A slot is taken.
    pub fn job_started(&self) {
        self.state().active_jobs.send_modify(|jobs| *jobs += 1);
    }

    /// A slot is free again. Once for each [`Health::job_started`].
    pub fn job_ended(&self) {
        let mut state = self.state();
        state.reset();
        let end = |jobs: &mut usize| *jobs = jobs.saturating_sub(1);
        state.active_jobs.send_modify(end);
    }

    /// How many slots are taken, for those that wait for a change.
    pub fn active_jobs(&self) -> watch::Receiver<usize> {
        self.state().active_jobs.subscribe()
    }

    /// An outcome is about to be delivered.
    pub fn delivery_started(&self) {
        let mut state = self.state();
        if state.deliveries == 0 {
            state.delivering_since = Instant::now();
        }
        state.deliveries += 1;
    }

    /// An outcome was delivered, or given up. Once for each [`Health::delivery_started`].
    pub fn delivery_ended(&self) {
        let mut state = self.state();
        state.deliveries = state.deliveries.saturating_sub(1);
    }

    /// The poll loop made progress.
    pub fn polled(&self) {
        self.state().last_poll = Some(Instant::now());
    }

    /// The API answered as it should.
    pub fn contact(&self) {
        let mut state = self.state();
        state.last_contact = Some(Instant::now());
        state.paused = Duration::ZERO;
    }

    /// No request was due until now, for example because all slots of all types were taken: the limits start again.
    pub fn reset(&self) {
        self.state().reset();
    }

    /// The poll loop pauses on purpose, because the API asked for it with `Retry-After`: the pause does
    /// not count.
    pub fn excuse_pause(&self, pause: Duration) {
        let now = Instant::now();
        // The clock cannot represent a later end.
        let decades = Duration::from_secs(1 << 30);
        let end = now.checked_add(pause).unwrap_or(now + decades);
        let mut state = self.state();
        let begin = state.pause_end.max(now);
        state.paused += end.saturating_duration_since(begin);
        state.pause_end = begin.max(end);
    }

    /// The async threads have been blocked for this long; `None`: they are not.
    pub fn stalled(&self, time: Option<Duration>) {
        let now = Instant::now();
        self.state().stalled_since = time.map(|time| now.checked_sub(time).unwrap_or(now));
    }

    /// A problem of the worker itself, such as a full disk, keeps it from starting jobs. Until that is over, it claims
    /// none and need not poll. `None`: there is no such problem.
    pub fn set_blocked(&self, reason: Option<String>) {
        let mut state = self.state();
        if reason.is_some() != state.blocked.is_some() {
            state.reset();
        }
        let since = state.blocked.as_ref().map(|blocked| blocked.since);
        let since = since.unwrap_or_else(Instant::now);
        state.blocked = reason.map(|reason| Blocked { since, reason });
    }

    /// The worker's health at this moment.
    pub fn report(&self) -> Report {
        self.state().report()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
