//! URLs that permit one request.

use std::fmt;
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret, SecretString};

/// The shortest and the longest time that a signature may be valid.
const VALIDITY: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(7 * 24 * 3600);

/// Describes the problem if a signature cannot be valid for this time.
pub(crate) fn check(expires: Duration) -> Result<(), &'static str> {
    if VALIDITY.contains(&expires) {
        return Ok(());
    }
    Err("a presigned URL is valid for 1 s to 7 days: let it expire within that time")
}

/// A URL that permits anyone who has it to read or store one object, without credentials, until it expires.
///
/// From [`Storage::presign_get`](super::Storage::presign_get) and
/// [`presign_put`](super::Storage::presign_put). Its signature is a secret, which [`Debug`] does not show.
#[derive(Clone)]
pub struct PresignedUrl {
    pub(crate) url: SecretString,
    pub(crate) method: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) expires_at: SystemTime,
}

impl PresignedUrl {
    /// The URL itself. Give it to its user, and keep it out of logs.
    pub fn expose(&self) -> &str {
        self.url.expose_secret()
    }

    /// The method of the request: `GET` or `PUT`.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The headers that the request must have, by name; usually none. It may have others, such as
    /// `Content-Type`.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.headers.iter();
        pairs.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// When it expires, unless the credentials that signed it expire earlier.
    pub fn expires_at(&self) -> SystemTime {
        self.expires_at
    }
}

impl fmt::Debug for PresignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = self.expose();
        f.debug_struct("PresignedUrl")
            .field("url", &url.split('?').next().unwrap_or_default())
            .field("method", &self.method)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
