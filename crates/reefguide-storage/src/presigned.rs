//! URLs that carry the right to one request.

use std::fmt;
use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret, SecretString};

/// The shortest and the longest time that a signature may hold.
const HOLDS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(7 * 24 * 3600);

/// Whether a signature may hold for so long; what is wrong if not.
pub(crate) fn check(expires: Duration) -> Result<(), &'static str> {
    if HOLDS.contains(&expires) {
        return Ok(());
    }
    Err("a presigned URL holds for 1 s to 7 days: let it expire within that time")
}

/// A URL with which whoever has it may read or store one object, without credentials, until it expires.
///
/// From [`Storage::presign_get`](super::Storage::presign_get) and
/// [`presign_put`](super::Storage::presign_put). Its signature is a secret: [`Debug`] shows none of it.
#[derive(Clone)]
pub struct PresignedUrl {
    pub(crate) url: SecretString,
    pub(crate) method: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) expires_at: SystemTime,
}

impl PresignedUrl {
    /// The URL itself, to be handed to whoever shall use it, and not to a log.
    pub fn expose(&self) -> &str {
        self.url.expose_secret()
    }

    /// The method of the request: `GET` or `PUT`.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The headers that the request must have, by name; usually none. Others are free, `Content-Type`
    /// among them.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.headers.iter();
        pairs.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// When it expires, unless the credentials it was signed with do so before.
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
