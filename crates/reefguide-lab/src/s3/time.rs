//! Times in milliseconds since 1970.

use std::time::{Duration, UNIX_EPOCH};

use s3s::dto::Timestamp;

/// The current time.
pub(super) fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

/// A time in the protocol's type.
pub(super) fn timestamp(milliseconds: i64) -> Timestamp {
    let since = Duration::from_millis(milliseconds.try_into().unwrap_or_default());
    Timestamp::from(UNIX_EPOCH + since)
}
