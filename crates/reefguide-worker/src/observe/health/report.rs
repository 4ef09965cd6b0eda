//! What is reported about a worker's health.

use std::fmt;
use std::time::Duration;

/// How long the poll loop may make no progress, or the API may not answer, before the worker counts as unhealthy. The
/// limit is longer only if the worker is configured to ask less often.
pub const LIMIT: Duration = Duration::from_secs(50);

/// How long nothing may run on the async threads before the worker counts as unhealthy.
pub const STALL_LIMIT: Duration = Duration::from_secs(10);

/// The phase that a worker is in.
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

/// A worker's health at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Slots taken.
    pub active_jobs: usize,
    /// Slots in all.
    pub max_jobs: usize,
    /// Jobs that are done and not reported yet.
    pub deliveries: usize,
    /// The phase that the worker is in.
    pub phase: Phase,
    /// How long the worker has run.
    pub uptime: Duration,
    /// How long ago the poll loop made progress; `None` before the first poll.
    pub since_poll: Option<Duration>,
    /// How long ago the API answered as it should; `None` before the first answer.
    pub since_contact: Option<Duration>,
    /// The access token; `None` before there is one, or if its end is not known.
    pub token: Option<Token>,
    /// Why the worker is not healthy; `None` if it is.
    pub unhealthy_reason: Option<UnhealthyReason>,
    /// Why the worker cannot start jobs; `None` if it can.
    pub blocked: Option<String>,
}

impl Report {
    /// Why the worker would not claim a job even with a free slot; `None` if it is ready.
    pub fn unready(&self) -> Option<String> {
        match (self.phase, self.unhealthy_reason) {
            (_, Some(_)) => self.unhealthy(),
            (Phase::LoggingIn, None) => Some("starting: the API has not answered yet".into()),
            (Phase::FindingBucket, None) => Some("starting: the bucket is being looked for".into()),
            (Phase::Working, None) => self.blocked.clone(),
            (Phase::Stopping, None) => Some("stopping: no further job is claimed".into()),
        }
    }

    /// Why the worker is not healthy, with details; `None` if it is.
    pub fn unhealthy(&self) -> Option<String> {
        let unhealthy = self.unhealthy_reason?;
        Some(match (&self.blocked, unhealthy) {
            (Some(reason), UnhealthyReason::Blocked { .. }) => format!("{unhealthy}: {reason}"),
            _ => unhealthy.to_string(),
        })
    }
}

/// An access token's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Token {
    /// How long ago it was obtained.
    pub age: Duration,
    /// How long it is still valid.
    pub left: Duration,
    /// How long ago it expired; `None` while it is valid.
    pub ended: Option<Duration>,
}

/// Why a worker is not healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnhealthyReason {
    /// The async threads have been blocked for this long.
    Stalled(Duration),
    /// The poll loop has made no progress.
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
    /// The bucket has not answered during the start.
    NoBucket {
        /// For how long.
        time: Duration,
        /// How long it may.
        limit: Duration,
    },
    /// The worker cannot start jobs, and none runs; [`Report::blocked`] says why.
    Blocked {
        /// For how long.
        time: Duration,
        /// How long it may.
        limit: Duration,
    },
    /// The access token has expired and was not renewed.
    TokenEnded {
        /// How long ago.
        time: Duration,
        /// How long renewing it may take.
        limit: Duration,
    },
}

impl fmt::Display for UnhealthyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, time, limit) = match self {
            Self::Stalled(time) => (
                "the async threads are blocked, nothing has run on them",
                time,
                &STALL_LIMIT,
            ),
            Self::Stuck { time, limit } => ("the poll loop has made no progress", time, limit),
            Self::NoContact { time, limit } => {
                ("the API has not answered as it should", time, limit)
            }
            Self::NoBucket { time, limit } => ("the bucket has not answered", time, limit),
            Self::Blocked { time, limit } => ("no job can be started", time, limit),
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
