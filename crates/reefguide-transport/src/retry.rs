//! One retry policy for everything that is retried.
//!
//! Delays grow up to a cap, exponentially by default. Each is drawn at random between zero and the grown delay
//! ("full jitter"), so that a fleet that failed at the same moment does not retry at the same moment.

use std::fmt::Debug;
use std::time::Duration;

/// Notified of tries after the first one.
pub trait RetryObserver: Debug + Send + Sync {
    /// Something was tried again so many times.
    fn tried_again(&self, times: u64);
}

/// How often to try something, and how long to wait between tries.
///
/// ```
/// use std::time::Duration;
/// use reefguide_transport::retry::RetryPolicy;
///
/// let policy = RetryPolicy::new(Duration::from_millis(200)).cap(Duration::from_secs(5)).tries(4);
/// assert_eq!(policy.delays().count(), 3);
/// assert!(policy.delays().all(|delay| delay <= Duration::from_secs(5)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    base: Duration,
    growth: Growth,
    cap: Duration,
    tries: usize,
    jitter: bool,
}

/// How the delays between tries grow from the first one, `base`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Growth {
    /// They stay the same.
    Constant,
    /// Each is longer by `base`.
    Linear,
    /// Each is twice as long.
    #[default]
    Exponential,
}

impl RetryPolicy {
    /// A policy of 5 tries, whose delays begin with at most `base` and double up to a cap of 30 s.
    pub const fn new(base: Duration) -> Self {
        Self {
            base,
            growth: Growth::Exponential,
            cap: Duration::from_secs(30),
            tries: 5,
            jitter: true,
        }
    }

    /// Sets how the delays grow; exponentially by default.
    #[must_use]
    pub const fn growth(mut self, growth: Growth) -> Self {
        self.growth = growth;
        self
    }

    /// Sets the longest delay.
    #[must_use]
    pub const fn cap(mut self, cap: Duration) -> Self {
        self.cap = cap;
        self
    }

    /// Sets the number of tries, including the first one; at least one is made.
    #[must_use]
    pub const fn tries(mut self, tries: usize) -> Self {
        self.tries = tries;
        self
    }

    /// Sets no limit on the number of tries, for callers that limit the time instead.
    #[must_use]
    pub const fn unlimited(self) -> Self {
        self.tries(usize::MAX)
    }

    /// Waits for the whole grown delay each time, for a service that only one worker uses.
    #[must_use]
    pub const fn without_jitter(mut self) -> Self {
        self.jitter = false;
        self
    }

    /// Does `work` until it succeeds or the tries are used up. After each error, `wait` gets the error and the next
    /// delay, and returns how long to wait, or `None` to stop, as for an error that another try cannot fix.
    ///
    /// # Errors
    /// The last error of `work`.
    ///
    /// # Cancel safety
    /// That of `work`.
    pub async fn run<T, E, F: Future<Output = Result<T, E>>>(
        self,
        mut work: impl FnMut() -> F,
        mut wait: impl FnMut(&E, Duration) -> Option<Duration>,
    ) -> Result<T, E> {
        let mut delays = self.delays();
        loop {
            let error = match work().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let delay = delays.next().and_then(|delay| wait(&error, delay));
            let Some(delay) = delay else {
                return Err(error);
            };
            tokio::time::sleep(delay).await;
        }
    }

    /// The delays before the second try, the third, and so on, for loops that keep state between tries.
    pub fn delays(self) -> Delays {
        Delays {
            policy: self,
            made: 0,
        }
    }
}

/// The delays of one [`RetryPolicy`], in order.
#[derive(Clone, Debug)]
pub struct Delays {
    policy: RetryPolicy,
    made: usize,
}

impl Iterator for Delays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.made.saturating_add(1) >= self.policy.tries {
            return None;
        }
        let made = u32::try_from(self.made).unwrap_or(u32::MAX);
        let factor = match self.policy.growth {
            Growth::Constant => 1,
            Growth::Linear => made.saturating_add(1),
            Growth::Exponential => 1 << made.min(31),
        };
        self.made += 1;
        let grown = self.policy.base.saturating_mul(factor).min(self.policy.cap);
        Some(match self.policy.jitter {
            true => grown.mul_f64(fastrand::f64()),
            false => grown,
        })
    }
}
