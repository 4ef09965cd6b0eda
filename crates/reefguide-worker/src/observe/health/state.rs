//! What is known of the worker, and when that makes it unhealthy.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::report::{LIMIT, Phase, Report, Token, UnhealthyReason};

/// How long an answer may take, on top of the longest planned wait between two requests.
pub(super) const ANSWER_TIME: Duration = Duration::from_millis(12_500);

#[derive(Debug)]
pub(super) struct State {
    pub(super) started: Instant,
    pub(super) max_jobs: usize,
    pub(super) active_jobs: watch::Sender<usize>,
    pub(super) deliveries: usize,
    pub(super) phase: Phase,
    /// How long the API may not answer, with a slot free and with none.
    pub(super) poll_limit: Duration,
    pub(super) watch_limit: Option<Duration>,
    pub(super) last_poll: Option<Instant>,
    pub(super) last_contact: Option<Instant>,
    pub(super) delivering_since: Instant,
    /// No limit counts time before this.
    pub(super) limits_start: Instant,
    pub(super) pause_end: Instant,
    /// Excused pauses since the last contact.
    pub(super) paused: Duration,
    pub(super) token: Option<TokenLife>,
    pub(super) stalled_since: Option<Instant>,
    pub(super) blocked: Option<Blocked>,
}

/// What keeps the worker from starting jobs.
#[derive(Debug)]
pub(super) struct Blocked {
    pub(super) since: Instant,
    pub(super) reason: String,
}

/// The life of the access token.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenLife {
    pub(super) since: Instant,
    pub(super) end: Instant,
}

impl State {
    pub(super) fn new(max_jobs: usize) -> Self {
        let now = Instant::now();
        Self {
            started: now,
            max_jobs,
            active_jobs: watch::Sender::new(0),
            deliveries: 0,
            phase: Phase::default(),
            poll_limit: LIMIT,
            watch_limit: Some(LIMIT),
            last_poll: None,
            last_contact: None,
            delivering_since: now,
            limits_start: now,
            pause_end: now,
            paused: Duration::ZERO,
            token: None,
            stalled_since: None,
            blocked: None,
        }
    }

    /// Starts the limits again.
    pub(super) fn reset(&mut self) {
        self.limits_start = Instant::now();
        self.paused = Duration::ZERO;
    }

    pub(super) fn report(&self) -> Report {
        let now = Instant::now();
        let since = |then: Instant| now.saturating_duration_since(then);
        Report {
            active_jobs: *self.active_jobs.borrow(),
            max_jobs: self.max_jobs,
            deliveries: self.deliveries,
            phase: self.phase,
            uptime: since(self.started),
            since_poll: self.last_poll.map(since),
            since_contact: self.last_contact.map(since),
            token: self.token.map(|life| Token {
                age: since(life.since),
                left: life.end.saturating_duration_since(now),
                ended: (now > life.end).then(|| since(life.end)),
            }),
            unhealthy_reason: self.unhealthy_reason(now),
            blocked: self.blocked.as_ref().map(|blocked| blocked.reason.clone()),
        }
    }

    fn unhealthy_reason(&self, now: Instant) -> Option<UnhealthyReason> {
        // The time since then, if it is longer than the limit.
        let over = |since: Instant, limit| {
            let time = now.saturating_duration_since(since.max(self.limits_start));
            (time > limit).then_some(time)
        };
        let no_contact = |since, limit: Duration| over(since, limit.saturating_add(self.paused));
        if let Some(since) = self.stalled_since {
            return Some(UnhealthyReason::Stalled(
                now.saturating_duration_since(since),
            ));
        }
        let active_jobs = *self.active_jobs.borrow();
        // To replace the worker would end its running jobs, which may well succeed.
        if let Some(blocked) = self.blocked.as_ref().filter(|_| active_jobs == 0)
            && let Some(time) = over(blocked.since, LIMIT)
            && self.phase == Phase::Working
        {
            return Some(UnhealthyReason::Blocked { time, limit: LIMIT });
        }
        let polls =
            self.phase == Phase::Working && active_jobs < self.max_jobs && self.blocked.is_none();
        // Since when the API is asked, and how long it may not answer.
        let (asked, limit) = match self.phase {
            Phase::LoggingIn | Phase::FindingBucket => (self.started, Some(LIMIT)),
            _ if polls => (self.started, Some(self.poll_limit)),
            // A job is not watched while its outcome is delivered.
            _ if self.deliveries > 0 => (self.delivering_since, Some(LIMIT)),
            _ if active_jobs > 0 => (self.started, self.watch_limit),
            _ => (self.started, None),
        };
        if let Some(limit) = limit {
            if let Some(life) = &self.token
                && let Some(time) = no_contact(life.end.max(asked), limit)
            {
                return Some(UnhealthyReason::TokenEnded { time, limit });
            }
            let contact = self.last_contact.unwrap_or(self.started).max(asked);
            if let Some(time) = no_contact(contact, limit) {
                return Some(match self.phase {
                    Phase::FindingBucket => UnhealthyReason::NoBucket { time, limit },
                    _ => UnhealthyReason::NoContact { time, limit },
                });
            }
        }
        let last_poll = self.last_poll.unwrap_or(self.started).max(self.pause_end);
        let stuck = over(last_poll, self.poll_limit).filter(|_| polls)?;
        Some(UnhealthyReason::Stuck {
            time: stuck,
            limit: self.poll_limit,
        })
    }
}
