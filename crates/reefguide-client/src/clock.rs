//! How far this machine's clock is from the API's.
//!
//! Nothing is decided by it: durations are measured, not read off clocks. But times in logs are then off,
//! and from a quarter of an hour on S3 refuses signatures.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{DATE, HeaderMap};

/// From here on it is worth a warning.
const WORTH_A_WARNING: SignedDuration = SignedDuration::from_secs(60);

/// What the API's answers say about the time.
#[derive(Debug, Default)]
pub(super) struct Clock {
    ahead: Mutex<Option<SignedDuration>>,
}

impl Clock {
    /// Reads the date of an answer that took `elapsed` to come; warns when the clock begins to be off.
    pub(super) fn compare(&self, headers: &HeaderMap, elapsed: Duration) {
        let begins = self.begins_to_be_off(headers, elapsed);
        if let Some(ahead) = begins {
            tracing::warn!(
                ahead_s = ahead.as_secs(),
                "this machine's clock is off from the API's: times in the log are wrong, and S3 may refuse \
                 signatures; synchronise it"
            );
        }
    }

    /// How far the clock is ahead, if that is worth a warning now and was not before.
    fn begins_to_be_off(&self, headers: &HeaderMap, elapsed: Duration) -> Option<SignedDuration> {
        let date = headers.get(DATE)?.to_str().ok()?;
        let date = jiff::fmt::rfc2822::parse(date).ok()?;
        let ahead = Timestamp::now().duration_since(date.timestamp());
        // The answer was dated at some moment of a second, at some moment of the call.
        let least = ahead.abs()
            - SignedDuration::from_secs(1)
            - SignedDuration::try_from(elapsed).unwrap_or_default();
        let is_off = |ahead: SignedDuration| ahead.abs() > WORTH_A_WARNING;
        let ahead = least.max(SignedDuration::ZERO) * ahead.signum().into();
        let before = self.lock().replace(ahead);
        (is_off(ahead) && !before.is_some_and(is_off)).then_some(ahead)
    }

    /// How far this machine's clock is ahead, at the least; nothing before the first answer.
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

    /// What is known after an answer that was dated `age` seconds ago and took `elapsed` seconds.
    fn ahead(age: i64, elapsed: u64) -> i64 {
        let clock = Clock::default();
        clock.compare(&dated(age), Duration::from_secs(elapsed));
        clock.ahead().unwrap().as_secs()
    }

    #[test]
    fn a_clock_that_is_off_is_warned_of_each_time_that_it_begins_to_be() {
        let clock = Clock::default();
        for (age, warned) in [
            (30, false),
            (90, true),
            (90, false),
            (-90, false),
            (0, false),
            (-90, true),
        ] {
            let begins = clock.begins_to_be_off(&dated(age), Duration::ZERO);
            assert_eq!(begins.is_some(), warned, "{age}: {begins:?}");
        }
    }

    #[test]
    fn what_the_call_and_the_dates_second_explain_is_not_held_against_the_clock() {
        // A date has no fractions: up to a second more has passed, and a slow machine adds some.
        let seen = ahead(200, 30);
        assert!((169..=170).contains(&seen), "{seen}");
        let seen = ahead(-200, 30);
        assert!((-169..=-165).contains(&seen), "{seen}");
        assert_eq!(ahead(20, 30), 0);
    }
}
