//! The cases, and the random choices in each.

use std::time::Duration;

use fastrand::Rng;
use reefguide_lab::{Fault, FaultKind, Route};

use crate::run::{CLIENT_TIMEOUT, S3_TIMEOUT};
use crate::work::{Does, Work};

/// The call that fails.
const ROUTES: &[(&str, Route)] = &[
    ("login", Route::Login),
    ("refresh", Route::Token),
    ("poll", Route::Poll),
    ("assign", Route::Assign),
    ("read-back", Route::Job),
    ("upload-part", Route::S3UploadPart),
    ("complete-upload", Route::S3CompleteUpload),
    ("result", Route::Result),
];

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallFailure {
    Status(u16),
    LostAnswer,
    TooMany,
    Reset,
    Slow,
    Stale,
    /// A proxy answers with a page.
    Page(u16),
    /// The same, after the call has done its work.
    Swapped,
    Redirect,
}

const FAILURES: &[(&str, CallFailure)] = &[
    ("error-before", CallFailure::Status(503)),
    ("lost-answer", CallFailure::LostAnswer),
    ("401", CallFailure::Status(401)),
    ("400", CallFailure::Status(400)),
    ("429", CallFailure::TooMany),
    ("500", CallFailure::Status(500)),
    ("502", CallFailure::Status(502)),
    ("reset", CallFailure::Reset),
    ("slow", CallFailure::Slow),
    ("stale", CallFailure::Stale),
    ("foreign-200-page", CallFailure::Page(200)),
    ("foreign-404-page", CallFailure::Page(404)),
    ("swapped-200-page", CallFailure::Swapped),
    ("redirect", CallFailure::Redirect),
];

/// What else happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Nothing,
    /// The workers are told to stop.
    Sigterm,
    Panic,
    HandlerError,
    /// The lease is short, and one handler does not return by itself.
    Lease,
}

const EVENTS: &[(&str, Event)] = &[
    ("calm", Event::Nothing),
    ("sigterm", Event::Sigterm),
    ("panic", Event::Panic),
    ("error", Event::HandlerError),
];

/// Where a short lease is tried.
const LEASED: &[Route] = &[Route::Token, Route::Job, Route::Result];

#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) seed: u64,
    pub(crate) route: Route,
    pub(crate) failure: CallFailure,
    pub(crate) event: Event,
}

/// All cases, or those that the environment chooses.
pub(crate) fn chosen() -> Vec<Case> {
    let only = std::env::var("MATRIX_ONLY").unwrap_or_default();
    let base = std::env::var("MATRIX_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut cases = Vec::new();
    for (route_name, route) in ROUTES {
        let leased = LEASED.contains(route).then_some(&("lease", Event::Lease));
        for (failure_name, failure) in FAILURES {
            for (event_name, event) in EVENTS.iter().chain(leased) {
                let name = format!("{route_name}/{failure_name}/{event_name}");
                let seed = name.bytes().fold(base, |seed: u64, byte| {
                    seed.wrapping_mul(31).wrapping_add(byte.into())
                });
                cases.push(Case {
                    name,
                    seed,
                    route: *route,
                    failure: *failure,
                    event: *event,
                });
            }
        }
    }
    cases.retain(|case| only.split(',').any(|part| case.name.contains(part)));
    assert!(!cases.is_empty(), "no case is called `{only}`");
    cases
}

impl Case {
    fn is_s3(&self) -> bool {
        matches!(self.route, Route::S3UploadPart | Route::S3CompleteUpload)
    }

    /// The fault.
    pub(crate) fn fault(&self, rng: &mut Rng) -> Fault {
        let timeout = if self.is_s3() {
            S3_TIMEOUT
        } else {
            CLIENT_TIMEOUT
        };
        let beyond = timeout + timeout / 2;
        let fault = match self.failure {
            CallFailure::Status(status) => Fault::status(self.route, status),
            CallFailure::LostAnswer => Fault::lost_answer(self.route),
            CallFailure::TooMany => Fault::too_many_requests(self.route, Duration::from_secs(1)),
            CallFailure::Reset => Fault::reset(self.route),
            CallFailure::Stale => Fault::stale_keep_alive(self.route),
            CallFailure::Page(status) => Fault::page(self.route, status),
            CallFailure::Swapped => Fault::swapped_answer(self.route, 200),
            CallFailure::Redirect => {
                let statuses = [301, 302, 303, 307, 308];
                let status = statuses[rng.usize(..statuses.len())];
                Fault::redirect(self.route, status, "https://elsewhere.example/sign-in")
            }
            // Too late to be heard, and it has acted or it has not.
            CallFailure::Slow if rng.bool() => Fault::delay(self.route, beyond),
            CallFailure::Slow => {
                let ms = u64::try_from(beyond.as_millis()).unwrap();
                Fault::new(self.route, FaultKind::SlowBody { ms })
            }
        };
        match self.route {
            // A short lease leaves time for one.
            _ if self.event == Event::Lease => fault.times(1),
            // There may be no more than one of these, or none more on a connection that has served.
            Route::Login | Route::Token | Route::S3CompleteUpload => fault.times(rng.u64(1..=3)),
            _ if self.failure == CallFailure::Stale => fault.times(rng.u64(1..=3)),
            _ => fault.times(rng.u64(1..=3)).after(rng.u64(0..=1)),
        }
    }

    /// The jobs: some that succeed, and what the case is about.
    pub(crate) fn jobs(&self, rng: &mut Rng) -> Vec<Work> {
        let about = match self.event {
            Event::Nothing | Event::Sigterm => None,
            Event::Panic => Some(Does::Panic),
            Event::HandlerError if rng.bool() => Some(Does::Fail),
            Event::HandlerError => Some(Does::Retry),
            Event::Lease => Some(Does::Hang),
        };
        let good = if rng.u8(..3) == 0 {
            Does::Program
        } else {
            Does::Succeed
        };
        let all = [Some(good), about, Some(Does::Succeed)];
        let mut jobs: Vec<_> = all
            .into_iter()
            .flatten()
            .map(|does| Work::new(does, rng))
            .collect();
        if self.route == Route::Token {
            // Many tasks that all need the next token.
            jobs.extend((0..5).map(|_| Work::new(Does::Succeed, rng)));
            jobs = jobs.into_iter().map(|work| work.taking(700)).collect();
        }
        if self.is_s3() {
            let last = jobs.pop().unwrap();
            jobs.push(last.large());
        }
        jobs
    }
}
