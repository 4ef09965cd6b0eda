//! How far this machine's clock is ahead of the API's.
//!
//! No decision depends on it, because durations are measured with the monotonic clock. But times in logs are wrong, and
//! if the clock is off by 15 minutes or more, S3 refuses signatures.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{DATE, HeaderMap};

/// A larger difference is worth a warning.
const WORTH_A_WARNING: SignedDuration = SignedDuration::from_secs(60);

/// The difference that the latest answer showed.
#[derive(Debug, Default)]
pub(super) struct Clock {
    ahead: Mutex<Option<SignedDuration>>,
}

impl Clock {
    /// Reads the date of an answer that took `elapsed` to arrive, and warns if the clock was right before and is off now.
    pub(super) fn compare(&self, headers: &HeaderMap, elapsed: Duration) {
        if let Some(ahead) = self.newly_off(headers, elapsed) {
            tracing::warn!(
                ahead_s = ahead.as_secs(),
                "this machine's clock is off from the API's: times in the log are wrong, and S3 may refuse \
                 signatures; synchronise it"
            );
        }
    }

    /// How far the clock is ahead, if that is worth a warning and was not before.
    fn newly_off(&self, headers: &HeaderMap, elapsed: Duration) -> Option<SignedDuration> {
        let date = headers.get(DATE)?.to_str().ok()?;
        let date = jiff::fmt::rfc2822::parse(date).ok()?;
        let ahead = Timestamp::now().duration_since(date.timestamp());
        // The date has no fractions of a second, and it was taken at some moment of the call.
        let least = ahead.abs()
            - SignedDuration::from_secs(1)
            - SignedDuration::try_from(elapsed).unwrap_or_default();
        let is_off = |ahead: SignedDuration| ahead.abs() > WORTH_A_WARNING;
        let ahead = least.max(SignedDuration::ZERO) * ahead.signum().into();
        let before = self.lock().replace(ahead);
        (is_off(ahead) && !before.is_some_and(is_off)).then_some(ahead)
    }

    /// How far this machine's clock is ahead, at least; `None` before the first answer.
    pub(super) fn ahead(&self) -> Option<SignedDuration> {
        *self.lock()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<SignedDuration>> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The headers of an answer that was dated `age` seconds ago.
    fn dated(age: i64) -> HeaderMap {
        let date = Timestamp::now() - SignedDuration::from_secs(age);
        let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        HeaderMap::from_iter([(DATE, date.parse().unwrap())])
    }

    /// The measured difference after an answer that was dated `age` seconds ago and took `elapsed` seconds.
    fn ahead(age: i64, elapsed: u64) -> i64 {
        let clock = Clock::default();
        clock.compare(&dated(age), Duration::from_secs(elapsed));
        clock.ahead().unwrap().as_secs()
    }

    #[test]
    fn a_warning_is_logged_each_time_the_clock_starts_to_be_off() {
        let clock = Clock::default();
        for (age, warned) in [
            (30, false),
            (90, true),
            (90, false),
            (-90, false),
            (0, false),
            (-90, true),
        ] {
            let begins = clock.newly_off(&dated(age), Duration::ZERO);
            assert_eq!(begins.is_some(), warned, "{age}: {begins:?}");
        }
    }

    #[test]
    fn the_duration_of_the_call_and_the_precision_of_the_date_are_allowed_for() {
        // A date has no fractions: up to a second more has passed, and a slow machine adds some.
        let seen = ahead(200, 30);
        assert!((169..=170).contains(&seen), "{seen}");
        let seen = ahead(-200, 30);
        assert!((-169..=-165).contains(&seen), "{seen}");
        assert_eq!(ahead(20, 30), 0);
    }
}
