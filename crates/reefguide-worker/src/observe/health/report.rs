//! What is said about a worker's health.

use std::fmt;
use std::time::Duration;

use super::STALL_LIMIT;

/// What a worker is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// It has not reached the API yet.
    #[default]
    LoggingIn,
    /// It has reached the API, and not its bucket yet.
    FindingBucket,
    /// It claims jobs.
    Working,
    /// It claims no further job.
    Stopping,
}

impl Phase {
    /// In one word: `starting`, `working` or `stopping`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LoggingIn | Self::FindingBucket => "starting",
            Self::Working => "working",
            Self::Stopping => "stopping",
        }
    }
}

/// How the worker stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Slots taken.
    pub active_jobs: usize,
    /// Slots in all.
    pub max_jobs: usize,
    /// Jobs that are done and not reported yet.
    pub deliveries: usize,
    /// What the worker is about.
    pub phase: Phase,
    /// How long it has been there.
    pub uptime: Duration,
    /// How long ago the poll loop went on; `None` before the first poll.
    pub since_poll: Option<Duration>,
    /// How long ago the API answered as it should; `None` before it has.
    pub since_contact: Option<Duration>,
    /// The access token; `None` before there is one, or if its life is not known.
    pub token: Option<Token>,
    /// What is wrong; `None` when the worker is healthy.
    pub ailment: Option<Ailment>,
    /// Why no job can be begun, whatever the API offers; `None` when one can.
    pub hindrance: Option<String>,
}

impl Report {
    /// Why the worker claims no job, whether a slot is free or not; `None` when it is ready.
    pub fn unready(&self) -> Option<String> {
        match (self.phase, self.ailment) {
            (_, Some(_)) => self.unhealthy(),
            (Phase::LoggingIn, None) => Some("starting: the API has not answered yet".into()),
            (Phase::FindingBucket, None) => Some("starting: the bucket is being looked for".into()),
            (Phase::Working, None) => self.hindrance.clone(),
            (Phase::Stopping, None) => Some("stopping: no further job is claimed".into()),
        }
    }

    /// Why the worker is not healthy; `None` when it is.
    pub fn unhealthy(&self) -> Option<String> {
        let ailment = self.ailment?;
        Some(match (&self.hindrance, ailment) {
            (Some(reason), Ailment::Hindered { .. }) => format!("{ailment}: {reason}"),
            _ => ailment.to_string(),
        })
    }
}

/// An access token's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Token {
    /// How long ago it was gotten.
    pub age: Duration,
    /// How long it lasts yet.
    pub left: Duration,
    /// How long ago it ended; `None` while it lasts.
    pub ended: Option<Duration>,
}

/// Why a worker is not healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ailment {
    /// Nothing has run on the async threads for this long.
    Stalled(Duration),
    /// The poll loop has not turned.
    Stuck {
        /// For how long.
        time: Duration,
        /// How long it may.
        limit: Duration,
    },
    /// The API has not answered as it should.
    NoContact {
        /// For how long.
        time: Duration,
        /// How long it may.
        limit: Duration,
    },
    /// The bucket has not answered at the start.
    NoBucket {
        /// For how long.
        time: Duration,
        /// How long it may.
        limit: Duration,
    },
    /// No job can be begun, and none runs; [`Report::hindrance`] says why.
    Hindered {
        /// For how long.
        time: Duration,
        /// How long it may.
        limit: Duration,
    },
    /// The access token has ended, and there is no new one.
    TokenEnded {
        /// How long ago.
        time: Duration,
        /// How long a new one may take.
        limit: Duration,
    },
}

impl fmt::Display for Ailment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, time, limit) = match self {
            Self::Stalled(time) => (
                "the async threads are blocked, nothing has run on them",
                time,
                &STALL_LIMIT,
            ),
            Self::Stuck { time, limit } => ("the poll loop has not turned", time, limit),
            Self::NoContact { time, limit } => {
                ("the API has not answered as it should", time, limit)
            }
            Self::NoBucket { time, limit } => ("the bucket has not answered", time, limit),
            Self::Hindered { time, limit } => ("no job can be begun", time, limit),
            Self::TokenEnded { time, limit } => (
                "the access token has ended and was not renewed",
                time,
                limit,
            ),
        };
        write!(
            f,
            "{what} for {} s (limit {} s)",
            time.as_secs(),
            limit.as_secs()
        )
    }
}
