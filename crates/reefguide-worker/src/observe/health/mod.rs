//! Whether the worker still does what it is there for.
//!
//! The runtime says what happens, the health server asks. A worker that is alive but deaf is not
//! healthy: what counts is that the poll loop turns, that the API answers whoever asks it, and that
//! the async threads get to run.

mod report;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reefguide_client::TokenObserver;
use tokio::sync::watch;
use tokio::time::Instant;

pub use self::report::{Ailment, Phase, Report, Token};

/// How long the poll loop may take for one turn, or the API may be silent, before the worker counts as
/// unhealthy; longer only if it is set up to ask less often.
pub const LIMIT: Duration = Duration::from_secs(50);

/// How long nothing may run on the async threads before the worker counts as unhealthy.
pub const STALL_LIMIT: Duration = Duration::from_secs(10);

/// How long an answer may take after the longest planned wait for a question.
const ANSWER_TIME: Duration = Duration::from_millis(12_500);

/// A handle on the worker's health; clones share it.
///
/// With all slots taken nothing is polled, and the poll loop does not turn; then the API has to answer
/// when it is asked whether running jobs are still waited for, and when outcomes are delivered.
/// [`Health::rest`] excuses a pause.
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

#[derive(Debug)]
struct State {
    born: Instant,
    max_jobs: usize,
    active_jobs: watch::Sender<usize>,
    deliveries: usize,
    phase: Phase,
    /// The longest silence of the API by plan, with a slot free and with none.
    poll_limit: Duration,
    watch_limit: Option<Duration>,
    turned: Option<Instant>,
    contact: Option<Instant>,
    delivering_since: Instant,
    /// Before that nobody was asked, on purpose.
    anew: Instant,
    rest_end: Instant,
    /// Pauses on purpose since the last contact.
    rested: Duration,
    token: Option<Life>,
    stalled_since: Option<Instant>,
    hindrance: Option<Hindrance>,
}

/// What keeps the worker from beginning jobs.
#[derive(Debug)]
struct Hindrance {
    since: Instant,
    reason: String,
}

/// Of the access token.
#[derive(Clone, Copy, Debug)]
struct Life {
    since: Instant,
    end: Instant,
}

impl TokenObserver for Health {
    fn renewed(&self, since: Instant, end: Instant) {
        self.state().token = Some(Life { since, end });
    }
}

impl Health {
    /// The health of a worker with `max_jobs` slots that starts now.
    pub fn new(max_jobs: usize) -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(State {
            born: now,
            max_jobs,
            active_jobs: watch::Sender::new(0),
            deliveries: 0,
            phase: Phase::default(),
            poll_limit: LIMIT,
            watch_limit: Some(LIMIT),
            turned: None,
            contact: None,
            delivering_since: now,
            anew: now,
            rest_end: now,
            rested: Duration::ZERO,
            token: None,
            stalled_since: None,
            hindrance: None,
        })))
    }

    /// How often the API is asked by plan: with a slot free, and while jobs run (`None`: not at all). By
    /// default often enough for [`LIMIT`].
    pub fn paced(&self, poll: Duration, watch: Option<Duration>) {
        let limit = |longest: Duration| longest.saturating_add(ANSWER_TIME).max(LIMIT);
        let mut state = self.state();
        state.poll_limit = limit(poll);
        // Watching varies by a quarter.
        state.watch_limit = watch.map(|watch| limit(watch.saturating_mul(5) / 4));
    }

    /// The worker enters another phase; the limits are counted anew.
    pub fn enter(&self, phase: Phase) {
        let mut state = self.state();
        state.begin_anew();
        state.phase = phase;
    }

    /// A slot is taken.
    pub fn job_started(&self) {
        self.state().active_jobs.send_modify(|jobs| *jobs += 1);
    }

    /// A slot is free again. Once for each [`Health::job_started`].
    pub fn job_ended(&self) {
        let mut state = self.state();
        state.begin_anew();
        let end = |jobs: &mut usize| *jobs = jobs.saturating_sub(1);
        state.active_jobs.send_modify(end);
    }

    /// How many slots are taken, to be followed.
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

    /// An outcome is delivered, or is not going to be. Once for each [`Health::delivery_started`].
    pub fn delivery_ended(&self) {
        let mut state = self.state();
        state.deliveries = state.deliveries.saturating_sub(1);
    }

    /// The poll loop goes on.
    pub fn polled(&self) {
        self.state().turned = Some(Instant::now());
    }

    /// The API has answered as it should.
    pub fn contact(&self) {
        let mut state = self.state();
        state.contact = Some(Instant::now());
        state.rested = Duration::ZERO;
    }

    /// Nobody had to be asked until now, for example because all slots of all types were taken: the
    /// limits are counted anew.
    pub fn anew(&self) {
        self.state().begin_anew();
    }

    /// The poll loop pauses on purpose, because the API asked for it with `Retry-After`: the pause does
    /// not count.
    pub fn rest(&self, pause: Duration) {
        let now = Instant::now();
        // Beyond what a clock can tell there is no end.
        let decades = Duration::from_secs(1 << 30);
        let end = now.checked_add(pause).unwrap_or(now + decades);
        let mut state = self.state();
        let begin = state.rest_end.max(now);
        state.rested += end.saturating_duration_since(begin);
        state.rest_end = begin.max(end);
    }

    /// Nothing has run on the async threads for so long; `None`: they run.
    pub fn stalled(&self, time: Option<Duration>) {
        let now = Instant::now();
        self.state().stalled_since = time.map(|time| now.checked_sub(time).unwrap_or(now));
    }

    /// The worker itself keeps jobs from being begun, for example because its disk is full: until that is over it
    /// claims none, and need not poll. `None`: nothing does.
    pub fn hindered(&self, reason: Option<String>) {
        let mut state = self.state();
        if reason.is_some() != state.hindrance.is_some() {
            state.begin_anew();
        }
        let since = state.hindrance.as_ref().map(|hindrance| hindrance.since);
        let since = since.unwrap_or_else(Instant::now);
        state.hindrance = reason.map(|reason| Hindrance { since, reason });
    }

    /// How things stand at this moment.
    pub fn report(&self) -> Report {
        let state = self.state();
        let now = Instant::now();
        let since = |then: Instant| now.saturating_duration_since(then);
        Report {
            active_jobs: *state.active_jobs.borrow(),
            max_jobs: state.max_jobs,
            deliveries: state.deliveries,
            phase: state.phase,
            uptime: since(state.born),
            since_poll: state.turned.map(since),
            since_contact: state.contact.map(since),
            token: state.token.map(|life| Token {
                age: since(life.since),
                left: life.end.saturating_duration_since(now),
                ended: (now > life.end).then(|| since(life.end)),
            }),
            ailment: state.ailment(now),
            hindrance: state
                .hindrance
                .as_ref()
                .map(|hindrance| hindrance.reason.clone()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn begin_anew(&mut self) {
        self.anew = Instant::now();
        self.rested = Duration::ZERO;
    }

    fn ailment(&self, now: Instant) -> Option<Ailment> {
        // Longer than the limit, or else fine.
        let over = |since: Instant, limit| {
            let time = now.saturating_duration_since(since.max(self.anew));
            (time > limit).then_some(time)
        };
        let silent = |since, limit: Duration| over(since, limit.saturating_add(self.rested));
        if let Some(since) = self.stalled_since {
            return Some(Ailment::Stalled(now.saturating_duration_since(since)));
        }
        let active_jobs = *self.active_jobs.borrow();
        // A job that runs does well; only a worker without any would better be replaced.
        if let Some(hindrance) = self.hindrance.as_ref().filter(|_| active_jobs == 0)
            && let Some(time) = over(hindrance.since, LIMIT)
            && self.phase == Phase::Working
        {
            return Some(Ailment::Hindered { time, limit: LIMIT });
        }
        let polls =
            self.phase == Phase::Working && active_jobs < self.max_jobs && self.hindrance.is_none();
        // Since when the API is asked, and how long it may be silent.
        let (asked, limit) = match self.phase {
            Phase::LoggingIn | Phase::FindingBucket => (self.born, Some(LIMIT)),
            _ if polls => (self.born, Some(self.poll_limit)),
            // What is delivered is not watched any more.
            _ if self.deliveries > 0 => (self.delivering_since, Some(LIMIT)),
            _ if active_jobs > 0 => (self.born, self.watch_limit),
            _ => (self.born, None),
        };
        if let Some(limit) = limit {
            if let Some(life) = &self.token
                && let Some(time) = silent(life.end.max(asked), limit)
            {
                return Some(Ailment::TokenEnded { time, limit });
            }
            let contact = self.contact.unwrap_or(self.born).max(asked);
            if let Some(time) = silent(contact, limit) {
                return Some(match self.phase {
                    Phase::FindingBucket => Ailment::NoBucket { time, limit },
                    _ => Ailment::NoContact { time, limit },
                });
            }
        }
        let turned = self.turned.unwrap_or(self.born).max(self.rest_end);
        let stuck = over(turned, self.poll_limit).filter(|_| polls)?;
        Some(Ailment::Stuck {
            time: stuck,
            limit: self.poll_limit,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const MOMENT: Duration = Duration::from_millis(1);
    const MINUTE: Duration = Duration::from_secs(60);

    fn working(max_jobs: usize) -> Health {
        let health = Health::new(max_jobs);
        health.enter(Phase::Working);
        health
    }

    fn says(health: &Health) -> String {
        let ailment = health.report().ailment;
        ailment.map_or_else(|| "healthy".to_owned(), |ailment| ailment.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_stopped_turning_is_unhealthy_although_the_api_answers() {
        let health = working(1);
        advance(LIMIT).await;
        health.contact();
        assert_eq!(says(&health), "healthy");
        advance(MOMENT).await;
        assert_eq!(
            says(&health),
            "the poll loop has not turned for 50 s (limit 50 s)"
        );
        health.polled();
        assert_eq!(says(&health), "healthy");
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_turns_but_hears_nothing_is_unhealthy_within_a_minute() {
        let health = working(1);
        health.contact();
        advance(MINUTE).await;
        health.polled();
        assert_eq!(
            says(&health),
            "the API has not answered as it should for 60 s (limit 50 s)"
        );
        health.contact();
        assert_eq!(says(&health), "healthy");
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_whose_slots_are_all_taken_need_not_poll_but_must_hear_of_its_jobs() {
        let health = working(1);
        health.job_started();
        for _ in 0..10 {
            advance(LIMIT).await;
            assert_eq!(says(&health), "healthy");
            health.contact();
        }
        advance(LIMIT + MOMENT).await;
        assert!(says(&health).starts_with("the API"), "{}", says(&health));
        health.job_ended();
        assert_eq!(says(&health), "healthy", "the limits count anew");
        advance(LIMIT + MOMENT).await;
        assert_ne!(says(&health), "healthy");
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_nobody_watches_is_silent_until_it_is_delivered() {
        let health = working(1);
        health.paced(MOMENT, None);
        health.renewed(Instant::now(), Instant::now() + MINUTE);
        health.job_started();
        advance(MINUTE * 60).await;
        assert_eq!(says(&health), "healthy");
        health.delivery_started();
        assert_eq!(says(&health), "healthy");
        advance(LIMIT + MOMENT).await;
        assert_ne!(says(&health), "healthy");
        health.delivery_ended();
        assert_eq!(says(&health), "healthy");
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_is_to_ask_seldom_may_wait_longer() {
        let health = working(1);
        health.paced(MINUTE, Some(MINUTE * 4));
        advance(MINUTE + ANSWER_TIME).await;
        assert_eq!(says(&health), "healthy");
        advance(MOMENT).await;
        assert_ne!(says(&health), "healthy");
        health.contact();
        health.job_started();
        advance(MINUTE * 5 + ANSWER_TIME).await;
        assert_eq!(says(&health), "healthy");
        advance(MOMENT).await;
        assert_ne!(says(&health), "healthy");
    }

    #[tokio::test(start_paused = true)]
    async fn a_free_slot_beside_a_running_job_must_still_be_polled_for() {
        let health = working(2);
        health.job_started();
        advance(LIMIT + MOMENT).await;
        health.contact();
        assert!(says(&health).starts_with("the poll loop"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_does_not_count_and_no_more_than_it() {
        let health = working(1);
        let pause = Duration::from_secs(900);
        health.rest(pause);
        health.rest(pause / 2);
        advance(pause + LIMIT).await;
        assert_eq!(says(&health), "healthy");
        advance(MOMENT).await;
        assert_ne!(says(&health), "healthy");
        health.contact();
        health.polled();
        advance(LIMIT + MOMENT).await;
        assert_ne!(says(&health), "healthy");
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_that_asks_for_a_moment_again_and_again_is_not_excused_for_ever() {
        let health = working(1);
        for _ in 0..60 {
            health.polled();
            health.rest(Duration::from_millis(100));
            advance(Duration::from_secs(1)).await;
        }
        assert!(says(&health).starts_with("the API"), "{}", says(&health));
    }

    #[tokio::test(start_paused = true)]
    async fn a_start_that_hears_nothing_is_unhealthy_and_says_of_whom() {
        let health = Health::new(1);
        advance(LIMIT + MOMENT).await;
        assert!(says(&health).starts_with("the API"), "{}", says(&health));
        health.enter(Phase::FindingBucket);
        assert_eq!(says(&health), "healthy");
        advance(LIMIT + MOMENT).await;
        assert!(says(&health).starts_with("the bucket"), "{}", says(&health));
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_ended_is_told_of_in_place_of_the_silence_that_follows() {
        let health = working(1);
        health.renewed(Instant::now(), Instant::now() + MINUTE);
        advance(MINUTE * 2).await;
        health.polled();
        assert!(says(&health).starts_with("the access token"));
        let token = health.report().token.unwrap();
        let life = (token.age, token.left, token.ended);
        assert_eq!(life, (MINUTE * 2, Duration::ZERO, Some(MINUTE)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_cannot_begin_jobs_is_not_ready_and_unhealthy_unless_one_runs() {
        let health = working(2);
        let reason = || Some("the disk is full".to_owned());
        health.hindered(reason());
        assert_eq!(health.report().unready(), reason());
        health.job_started();
        for _ in 0..3 {
            advance(LIMIT).await;
            health.contact();
            health.hindered(reason());
        }
        assert_eq!(says(&health), "healthy");
        assert_eq!(health.report().unready(), reason());
        health.job_ended();
        advance(LIMIT + MOMENT).await;
        assert_eq!(
            health.report().unhealthy().unwrap(),
            "no job can be begun for 50 s (limit 50 s): the disk is full"
        );
        health.hindered(None);
        assert_eq!(says(&health), "healthy");
        assert_eq!(health.report().unready(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_healthy_worker_that_claims_jobs_is_ready() {
        let health = Health::new(1);
        assert!(health.report().unready().unwrap().starts_with("starting"));
        health.enter(Phase::Working);
        health.job_started();
        assert_eq!(health.report().unready(), None, "also with no slot free");
        health.stalled(Some(STALL_LIMIT));
        assert!(health.report().unready().unwrap().contains("async threads"));
        health.stalled(None);
        health.enter(Phase::Stopping);
        assert!(health.report().unready().unwrap().starts_with("stopping"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_stops_need_not_poll() {
        let health = working(2);
        health.job_started();
        health.enter(Phase::Stopping);
        advance(LIMIT).await;
        health.contact();
        advance(LIMIT).await;
        assert_eq!(says(&health), "healthy");
        health.job_ended();
        advance(LIMIT * 2).await;
        assert_eq!(says(&health), "healthy");
    }
}
