//! A fault: what goes wrong, on which route and how often.

use std::fmt;
use std::time::Duration;

use http::HeaderValue;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::route::Route;

/// What goes wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub enum FaultKind {
    /// The response has this status, in the shape that the server uses for it. The request is not handled. Below 400
    /// and, on the API, from 502 to 504 the response is a proxy's page.
    Status {
        /// The status, 200 to 599.
        #[serde(deserialize_with = "status")]
        status: u16,
        /// `Retry-After` in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    },
    /// The response is an HTML page with this status and without the server's headers, as from a proxy in front of the
    /// server. The request is not handled.
    Page {
        /// The status, 200 to 599.
        #[serde(deserialize_with = "status")]
        status: u16,
    },
    /// The request is handled and its effects stay, but the response is the page of [`FaultKind::Page`].
    SwappedAnswer {
        /// The status, 200 to 599.
        #[serde(deserialize_with = "status")]
        status: u16,
    },
    /// The response is a proxy's page that redirects to another address. The request is not handled.
    Redirect {
        /// The status: 301, 302, 303, 307 or 308.
        #[serde(deserialize_with = "redirect_status")]
        status: u16,
        /// The `Location`. The default is the same address with `https`, as load balancers redirect plain HTTP.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "location"
        )]
        location: Option<String>,
    },
    /// The request is handled after a wait, unless its client disconnects first. The lab does not notice that before
    /// it has read the request body.
    Delay {
        /// The wait in milliseconds.
        ms: u64,
    },
    /// The request is handled and its effects stay, but the connection is reset instead of a response.
    LostAnswer,
    /// The connection is reset before the request is handled.
    Reset,
    /// A reused connection is closed just as another request arrives, as when the server's idle timer fires at that
    /// moment. The first request on a connection is not affected.
    StaleKeepAlive,
    /// All access tokens issued so far expire, then the request is handled.
    ExpireTokens,
    /// The head of the response is sent at once, its body after a wait.
    SlowBody {
        /// The wait in milliseconds.
        ms: u64,
    },
    /// Each piece of the response body is sent after a wait: slowly, but steadily.
    SlowPieces {
        /// The wait in milliseconds.
        ms: u64,
    },
    /// The connection is reset in the middle of the response body. A shorter body passes.
    CutBody {
        /// How many bytes of it are sent first.
        bytes: u64,
    },
    /// One byte of the response body is wrong. A shorter body passes.
    CorruptBody {
        /// How many bytes come before it.
        bytes: u64,
    },
    /// The connection is reset in the middle of the request body. The request is not handled. A shorter body passes.
    CutUpload {
        /// How many bytes of it are read first.
        bytes: u64,
    },
    /// One byte of the request body is wrong when it is handled. A shorter body passes.
    CorruptUpload {
        /// How many bytes come before it.
        bytes: u64,
    },
}

fn status<'de, D: Deserializer<'de>>(from: D) -> Result<u16, D::Error> {
    match u16::deserialize(from)? {
        status @ 200..600 => Ok(status),
        other => Err(D::Error::custom(format_args!(
            "status {other} cannot be sent: use 200 to 599"
        ))),
    }
}

fn redirect_status<'de, D: Deserializer<'de>>(from: D) -> Result<u16, D::Error> {
    match u16::deserialize(from)? {
        status @ (301..=303 | 307 | 308) => Ok(status),
        other => Err(D::Error::custom(format_args!(
            "status {other} does not redirect: use 301, 302, 303, 307 or 308"
        ))),
    }
}

fn location<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let location = Option::<String>::deserialize(from)?;
    match location.as_deref().map(HeaderValue::from_str) {
        Some(Err(_)) => Err(D::Error::custom("the location cannot be sent in a header")),
        _ => Ok(location),
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { status, .. } => write!(f, "status {status}"),
            Self::Page { status } => write!(f, "page with status {status}"),
            Self::SwappedAnswer { status } => {
                write!(f, "response replaced by a page with status {status}")
            }
            Self::Redirect { status, location } => {
                let to = location.as_deref().unwrap_or("the same address with https");
                write!(f, "redirect {status} to {to}")
            }
            Self::Delay { ms } => write!(f, "delay of {ms} ms"),
            Self::LostAnswer => f.write_str("lost answer"),
            Self::Reset => f.write_str("reset"),
            Self::StaleKeepAlive => f.write_str("stale keep-alive"),
            Self::ExpireTokens => f.write_str("tokens expired"),
            Self::SlowBody { ms } => write!(f, "body held for {ms} ms"),
            Self::SlowPieces { ms } => write!(f, "each piece of the body held for {ms} ms"),
            Self::CutBody { bytes } => write!(f, "reset after {bytes} bytes of the body"),
            Self::CorruptBody { bytes } => write!(f, "wrong byte after {bytes} of the body"),
            Self::CutUpload { bytes } => write!(f, "reset after {bytes} bytes of the upload"),
            Self::CorruptUpload { bytes } => write!(f, "wrong byte after {bytes} of the upload"),
        }
    }
}

/// What goes wrong, on which route and how often.
///
/// ```
/// # use reefguide_lab::{Fault, Route};
/// // The third and fourth results are stored, but the worker gets no response.
/// let fault = Fault::lost_answer(Route::Result).after(2).times(2);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    pub(crate) route: Route,
    #[serde(flatten)]
    pub(crate) kind: FaultKind,
    /// `None`: until it is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) count: Option<u64>,
    #[serde(default)]
    pub(crate) skip: u64,
}

impl Fault {
    /// A fault on every request to `route` until it is removed.
    pub fn new(route: Route, kind: FaultKind) -> Self {
        Self {
            route,
            kind,
            count: None,
            skip: 0,
        }
    }

    /// Responds with `status`; see [`FaultKind::Status`].
    pub fn status(route: Route, status: u16) -> Self {
        Self::new(
            route,
            FaultKind::Status {
                status,
                retry_after: None,
            },
        )
    }

    /// Responds with 429 and a `Retry-After` in whole seconds.
    pub fn too_many_requests(route: Route, retry_after: Duration) -> Self {
        Self::new(
            route,
            FaultKind::Status {
                status: 429,
                retry_after: Some(retry_after.as_secs()),
            },
        )
    }

    /// Responds with a proxy's page that has `status`, which may be 200 or 404; see [`FaultKind::Page`].
    pub fn page(route: Route, status: u16) -> Self {
        Self::new(route, FaultKind::Page { status })
    }

    /// Handles the request, but responds with a proxy's page that has `status`; see [`FaultKind::SwappedAnswer`].
    pub fn swapped_answer(route: Route, status: u16) -> Self {
        Self::new(route, FaultKind::SwappedAnswer { status })
    }

    /// Redirects to `location` with `status`; see [`FaultKind::Redirect`].
    pub fn redirect(route: Route, status: u16, location: impl Into<String>) -> Self {
        let location = Some(location.into());
        Self::new(route, FaultKind::Redirect { status, location })
    }

    /// Handles the request after a wait, in whole milliseconds; see [`FaultKind::Delay`].
    pub fn delay(route: Route, wait: Duration) -> Self {
        Self::new(route, FaultKind::Delay { ms: millis(wait) })
    }

    /// Handles the request, but sends no response; see [`FaultKind::LostAnswer`].
    pub fn lost_answer(route: Route) -> Self {
        Self::new(route, FaultKind::LostAnswer)
    }

    /// Resets the connection; see [`FaultKind::Reset`].
    pub fn reset(route: Route) -> Self {
        Self::new(route, FaultKind::Reset)
    }

    /// Closes a reused connection; see [`FaultKind::StaleKeepAlive`].
    pub fn stale_keep_alive(route: Route) -> Self {
        Self::new(route, FaultKind::StaleKeepAlive)
    }

    /// Expires all access tokens; see [`FaultKind::ExpireTokens`].
    pub fn expire_tokens(route: Route) -> Self {
        Self::new(route, FaultKind::ExpireTokens)
    }

    /// Delays the response body, in whole milliseconds; see [`FaultKind::SlowBody`].
    pub fn slow_body(route: Route, wait: Duration) -> Self {
        Self::new(route, FaultKind::SlowBody { ms: millis(wait) })
    }

    /// Delays each piece of the response body, in whole milliseconds; see [`FaultKind::SlowPieces`].
    pub fn slow_pieces(route: Route, wait: Duration) -> Self {
        Self::new(route, FaultKind::SlowPieces { ms: millis(wait) })
    }

    /// Resets the connection after `bytes` of the response body; see [`FaultKind::CutBody`].
    pub fn cut_body(route: Route, bytes: u64) -> Self {
        Self::new(route, FaultKind::CutBody { bytes })
    }

    /// Changes the byte after `bytes` of the response body; see [`FaultKind::CorruptBody`].
    pub fn corrupt_body(route: Route, bytes: u64) -> Self {
        Self::new(route, FaultKind::CorruptBody { bytes })
    }

    /// Resets the connection after `bytes` of the request body; see [`FaultKind::CutUpload`].
    pub fn cut_upload(route: Route, bytes: u64) -> Self {
        Self::new(route, FaultKind::CutUpload { bytes })
    }

    /// Changes the byte after `bytes` of the request body; see [`FaultKind::CorruptUpload`].
    pub fn corrupt_upload(route: Route, bytes: u64) -> Self {
        Self::new(route, FaultKind::CorruptUpload { bytes })
    }

    /// What goes wrong.
    pub fn kind(&self) -> &FaultKind {
        &self.kind
    }

    /// Fires `count` times, then no more.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    /// Lets `skip` requests pass before it first fires.
    #[must_use]
    pub fn after(mut self, skip: u64) -> Self {
        self.skip = skip;
        self
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_fault_reads_from_json() {
        let fault: Fault =
            serde_json::from_value(json!({"route": "result", "kind": "status", "status": 429, "retryAfter": 3, "count": 1})).unwrap();
        assert_eq!(
            fault,
            Fault::too_many_requests(Route::Result, Duration::from_secs(3)).times(1)
        );
        let error = serde_json::from_value::<Fault>(json!({"route": "nowhere", "kind": "reset"}))
            .unwrap_err();
        assert!(
            error.to_string().contains("no route is called `nowhere`"),
            "{error}"
        );
    }
}
