//! Fault dials: what goes wrong, on which route, how often.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderValue;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use tokio::sync::watch;

use crate::route::Route;

/// What goes wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase"
)]
pub enum FaultKind {
    /// The request is answered with this status, in the shape the server would give it, and does nothing. Below 400
    /// and, on the API, from 502 to 504 that is a proxy's page.
    Status {
        /// The status, 200 to 599.
        #[serde(deserialize_with = "status")]
        status: u16,
        /// `Retry-After` in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    },
    /// The request is answered by an HTML page with this status, as by a proxy that stands before the server, and does
    /// nothing. The page has no header of the server's.
    Page {
        /// The status, 200 to 599.
        #[serde(deserialize_with = "status")]
        status: u16,
    },
    /// The request is handled and its effects stay, but the answer is the page of [`FaultKind::Page`].
    SwappedAnswer {
        /// The status, 200 to 599.
        #[serde(deserialize_with = "status")]
        status: u16,
    },
    /// The request is answered by a proxy's page that points to another address, and does nothing.
    Redirect {
        /// The status: 301, 302, 303, 307 or 308.
        #[serde(deserialize_with = "redirect_status")]
        status: u16,
        /// The `Location`. Without one, it is the same address with `https`, as load balancers answer plain HTTP.
        #[serde(
            default,
            skip_serializing_if = "Option::is_none",
            deserialize_with = "location"
        )]
        location: Option<String>,
    },
    /// The request is handled after a wait, unless its client hangs up before. That is not noticed while its body
    /// is still to be read.
    Delay {
        /// The wait in milliseconds.
        ms: u64,
    },
    /// The request is handled and its effects stay, but the connection is reset instead of an answer.
    LostAnswer,
    /// The connection is reset before the request is looked at.
    Reset,
    /// A connection that has served before is closed the moment a further request comes, as by a server whose idle
    /// timer fires just then. A first request on a connection is not touched.
    StaleKeepAlive,
    /// All access tokens given out so far end, then the request is handled.
    ExpireTokens,
    /// The head of the answer comes at once, its body after a wait.
    SlowBody {
        /// The wait in milliseconds.
        ms: u64,
    },
    /// Each piece of the answer's body comes after a wait: slowly, but steadily.
    SlowPieces {
        /// The wait in milliseconds.
        ms: u64,
    },
    /// The connection is reset in the middle of the answer's body. A shorter body passes.
    CutBody {
        /// How many of its bytes are sent before.
        bytes: u64,
    },
    /// A byte of the answer's body is another one. A shorter body passes.
    CorruptBody {
        /// How many bytes are before it.
        bytes: u64,
    },
    /// The connection is reset in the middle of the request's body, and nothing is done. A shorter body passes.
    CutUpload {
        /// How many of its bytes are read before.
        bytes: u64,
    },
    /// A byte of the request's body is another one when it is handled. A shorter body passes.
    CorruptUpload {
        /// How many bytes are before it.
        bytes: u64,
    },
}

fn status<'de, D: Deserializer<'de>>(from: D) -> Result<u16, D::Error> {
    let status = u16::deserialize(from)?;
    if (200..600).contains(&status) {
        Ok(status)
    } else {
        let problem = format!("status {status} cannot be answered: it must be from 200 to 599");
        Err(D::Error::custom(problem))
    }
}

fn redirect_status<'de, D: Deserializer<'de>>(from: D) -> Result<u16, D::Error> {
    let status = u16::deserialize(from)?;
    if matches!(status, 301 | 302 | 303 | 307 | 308) {
        Ok(status)
    } else {
        let problem = format!("status {status} does not redirect: 301, 302, 303, 307 and 308 do");
        Err(D::Error::custom(problem))
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
                write!(f, "answer swapped for a page with status {status}")
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

/// One dial: a fault, where it strikes and how often.
///
/// ```
/// # use reefguide_lab::{Fault, Route};
/// // The third and fourth result are stored, but the worker never hears.
/// let fault = Fault::lost_answer(Route::Result).after(2).times(2);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    route: Route,
    #[serde(flatten)]
    kind: FaultKind,
    /// `None`: until removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(default)]
    skip: u64,
}

impl Fault {
    /// A fault on each request to `route` until it is removed.
    pub fn new(route: Route, kind: FaultKind) -> Self {
        Self {
            route,
            kind,
            count: None,
            skip: 0,
        }
    }

    /// Answers with `status`; see [`FaultKind::Status`].
    pub fn status(route: Route, status: u16) -> Self {
        Self::new(
            route,
            FaultKind::Status {
                status,
                retry_after: None,
            },
        )
    }

    /// Answers 429 with a `Retry-After` in whole seconds.
    pub fn too_many_requests(route: Route, retry_after: Duration) -> Self {
        Self::new(
            route,
            FaultKind::Status {
                status: 429,
                retry_after: Some(retry_after.as_secs()),
            },
        )
    }

    /// Answers a proxy's page with `status`, which may be 200 or 404; see [`FaultKind::Page`].
    pub fn page(route: Route, status: u16) -> Self {
        Self::new(route, FaultKind::Page { status })
    }

    /// Handles and answers a proxy's page with `status`; see [`FaultKind::SwappedAnswer`].
    pub fn swapped_answer(route: Route, status: u16) -> Self {
        Self::new(route, FaultKind::SwappedAnswer { status })
    }

    /// Points to `location` with `status`; see [`FaultKind::Redirect`].
    pub fn redirect(route: Route, status: u16, location: impl Into<String>) -> Self {
        let location = Some(location.into());
        Self::new(route, FaultKind::Redirect { status, location })
    }

    /// Waits before handling, in whole milliseconds.
    pub fn delay(route: Route, wait: Duration) -> Self {
        Self::new(route, FaultKind::Delay { ms: millis(wait) })
    }

    /// Handles and never answers; see [`FaultKind::LostAnswer`].
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

    /// Ends all access tokens; see [`FaultKind::ExpireTokens`].
    pub fn expire_tokens(route: Route) -> Self {
        Self::new(route, FaultKind::ExpireTokens)
    }

    /// Holds the answer's body back, in whole milliseconds; see [`FaultKind::SlowBody`].
    pub fn slow_body(route: Route, wait: Duration) -> Self {
        Self::new(route, FaultKind::SlowBody { ms: millis(wait) })
    }

    /// Holds each piece of the answer's body back, in whole milliseconds; see [`FaultKind::SlowPieces`].
    pub fn slow_pieces(route: Route, wait: Duration) -> Self {
        Self::new(route, FaultKind::SlowPieces { ms: millis(wait) })
    }

    /// Resets the connection after `bytes` of the answer's body; see [`FaultKind::CutBody`].
    pub fn cut_body(route: Route, bytes: u64) -> Self {
        Self::new(route, FaultKind::CutBody { bytes })
    }

    /// Changes the byte after `bytes` of the answer's body; see [`FaultKind::CorruptBody`].
    pub fn corrupt_body(route: Route, bytes: u64) -> Self {
        Self::new(route, FaultKind::CorruptBody { bytes })
    }

    /// Resets the connection after `bytes` of the request's body; see [`FaultKind::CutUpload`].
    pub fn cut_upload(route: Route, bytes: u64) -> Self {
        Self::new(route, FaultKind::CutUpload { bytes })
    }

    /// Changes the byte after `bytes` of the request's body; see [`FaultKind::CorruptUpload`].
    pub fn corrupt_upload(route: Route, bytes: u64) -> Self {
        Self::new(route, FaultKind::CorruptUpload { bytes })
    }

    /// What goes wrong.
    pub fn kind(&self) -> &FaultKind {
        &self.kind
    }

    /// Strikes `count` times, then no more.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.count = Some(count);
        self
    }

    /// Lets `skip` requests pass before the first strike.
    #[must_use]
    pub fn after(mut self, skip: u64) -> Self {
        self.skip = skip;
        self
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Which dial this is, to remove it or ask how often it struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultId(pub(crate) u64);

/// A dial and how often it has struck.
#[derive(Debug, Clone, Serialize)]
pub struct SetFault {
    /// Which dial.
    pub id: FaultId,
    /// What it does.
    #[serde(flatten)]
    pub fault: Fault,
    /// Strikes so far.
    pub fired: u64,
    #[serde(skip)]
    passed: u64,
}

/// The dials of a lab. Clones turn the same dials.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    dials: Arc<Mutex<Dials>>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Dials {
    set: Vec<SetFault>,
    last_id: u64,
}

impl Faults {
    /// No dial is set; each turn of one is announced on `changes`.
    pub(crate) fn new(changes: watch::Sender<u64>) -> Self {
        Self {
            dials: Arc::default(),
            changes,
        }
    }

    /// Sets a dial. Of several that mind a request, the one set first strikes, alone.
    pub fn add(&self, fault: Fault) -> FaultId {
        let mut dials = self.lock();
        dials.last_id += 1;
        let id = FaultId(dials.last_id);
        dials.set.push(SetFault {
            id,
            fault,
            fired: 0,
            passed: 0,
        });
        self.announce(dials);
        id
    }

    /// Removes a dial; whether it was there.
    pub fn remove(&self, id: FaultId) -> bool {
        let mut dials = self.lock();
        let before = dials.set.len();
        dials.set.retain(|dial| dial.id != id);
        let removed = dials.set.len() < before;
        self.announce(dials);
        removed
    }

    /// Removes all dials.
    pub fn clear(&self) {
        let mut dials = self.lock();
        dials.set.clear();
        self.announce(dials);
    }

    /// How often the dials now set have struck, all together.
    pub fn fired(&self) -> u64 {
        self.lock().set.iter().map(|dial| dial.fired).sum()
    }

    /// The dials as they stand, spent ones too.
    pub fn all(&self) -> Vec<SetFault> {
        self.lock().set.clone()
    }

    /// What strikes a request to `route`, counted as a strike.
    pub(crate) fn strike(&self, route: Route, reused_connection: bool) -> Option<FaultKind> {
        let mut dials = self.lock();
        let minds = |dial: &&mut SetFault| {
            dial.fault.route.covers(route)
                && dial.fault.count.is_none_or(|count| dial.fired < count)
                && (reused_connection || dial.fault.kind != FaultKind::StaleKeepAlive)
        };
        for dial in dials.set.iter_mut().filter(minds) {
            if dial.passed < dial.fault.skip {
                dial.passed += 1;
                continue;
            }
            dial.fired += 1;
            return Some(dial.fault.kind.clone());
        }
        None
    }

    fn announce(&self, turned: MutexGuard<'_, Dials>) {
        drop(turned);
        self.changes.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Dials> {
        self.dials.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_dial_lets_some_pass_then_strikes_so_often() {
        let faults = Faults::default();
        faults.add(Fault::reset(Route::Poll).after(1).times(2));
        let struck: Vec<_> = (0..5)
            .map(|_| faults.strike(Route::Poll, false).is_some())
            .collect();
        assert_eq!(struck, [false, true, true, false, false]);
        assert_eq!(
            (faults.fired(), faults.strike(Route::Assign, false)),
            (2, None)
        );
    }

    #[test]
    fn the_first_dial_set_strikes_alone_and_a_removed_one_never() {
        let faults = Faults::default();
        let first = faults.add(Fault::status(Route::Any, 500));
        faults.add(Fault::status(Route::Poll, 503));
        let status = |status| {
            Some(FaultKind::Status {
                status,
                retry_after: None,
            })
        };
        assert_eq!(faults.strike(Route::Poll, false), status(500));
        assert!(faults.remove(first) && !faults.remove(first));
        assert_eq!(faults.strike(Route::Poll, false), status(503));
        faults.clear();
        assert_eq!(faults.strike(Route::Poll, false), None);
    }

    #[test]
    fn a_stale_keep_alive_waits_for_a_reused_connection() {
        let faults = Faults::default();
        faults.add(Fault::stale_keep_alive(Route::Any).times(1));
        assert_eq!(faults.strike(Route::Poll, false), None);
        assert_eq!(
            faults.strike(Route::Poll, true),
            Some(FaultKind::StaleKeepAlive)
        );
    }

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
