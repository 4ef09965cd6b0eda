//! What happens in a soak, and when: the seed decides it all.

use std::time::Duration;

use fastrand::Rng;
use process_tests::work::{Does, Work};
use reefguide_lab::{FaultKind, Route};

/// The number of workers.
pub(super) const WORKERS: usize = 4;

/// The routes that faults are set on.
const ROUTES: [Route; 12] = [
    Route::Login,
    Route::Token,
    Route::Poll,
    Route::Assign,
    Route::Job,
    Route::Result,
    Route::S3Put,
    Route::S3UploadPart,
    Route::S3CompleteUpload,
    Route::S3List,
    Route::S3Get,
    Route::S3Delete,
];

/// An event of the plan.
#[derive(Debug)]
pub(super) enum Event {
    /// A job is submitted.
    Submit(Work),
    /// A fault is set for this time.
    Fault(Route, FaultKind, Duration),
    /// All access tokens expire.
    ExpireTokens,
    /// The worker at this place is ended, and restarted after this time.
    End(usize, Ending, Duration),
}

/// How a worker is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Ending {
    /// SIGTERM.
    Terminate,
    /// SIGTERM, and a second one before it has ended.
    Twice,
    /// SIGKILL.
    Kill,
}

/// The events, each with its time from the start.
pub(super) fn plan(seed: u64, length: Duration) -> Vec<(Duration, Event)> {
    let mut rng = Rng::with_seed(seed);
    let mut events = Vec::new();
    let mut scatter = |mean: u64, make: &dyn Fn(&mut Rng) -> Event| {
        let mut at = millis(&mut rng, 0..mean);
        while at < length {
            events.push((at, make(&mut rng)));
            at += millis(&mut rng, mean / 2..mean * 3 / 2);
        }
    };
    scatter(500, &|rng| Event::Submit(work(rng)));
    scatter(1_500, &fault);
    scatter(7_000, &|_| Event::ExpireTokens);
    scatter(3_000, &ending);
    // Stable: events of the same time stay in the order of the plan.
    events.sort_by_key(|(at, _)| *at);
    events
}

fn millis(rng: &mut Rng, range: std::ops::Range<u64>) -> Duration {
    Duration::from_millis(rng.u64(range))
}

fn work(rng: &mut Rng) -> Work {
    let does = match rng.u8(..100) {
        0..50 => Does::Succeed,
        50..60 => Does::Program,
        60..72 => Does::Retry,
        72..81 => Does::Panic,
        81..91 => Does::Fail,
        91..97 => Does::Hang,
        _ => Does::Abort,
    };
    let takes = if rng.u8(..10) == 0 {
        rng.u64(2_000..5_000)
    } else {
        rng.u64(..600)
    };
    let work = Work::new(does, rng).taking(takes);
    if rng.u8(..20) == 0 {
        work.large()
    } else {
        work
    }
}

fn fault(rng: &mut Rng) -> Event {
    let route = ROUTES[rng.usize(..ROUTES.len())];
    let status = |status, retry_after| FaultKind::Status {
        status,
        retry_after,
    };
    // A worker whose records are refused works without them, and its jobs cannot be recovered when it is killed, as the
    // book says.
    let may_refuse = route != Route::S3Put;
    let kind = match rng.u8(..12) {
        1 if may_refuse => status(401, None),
        2 if may_refuse => status(400, None),
        0..3 => status(503, None),
        3 => status(429, Some(1)),
        4 => status(500, None),
        5 => status(502, None),
        6..8 => FaultKind::LostAnswer,
        8 => FaultKind::Reset,
        9 => FaultKind::StaleKeepAlive,
        10 => FaultKind::Delay {
            ms: rng.u64(500..3_000),
        },
        _ => FaultKind::SlowBody {
            ms: rng.u64(500..3_000),
        },
    };
    Event::Fault(route, kind, millis(rng, 200..4_000))
}

fn ending(rng: &mut Rng) -> Event {
    let ending = match rng.u8(..5) {
        0..2 => Ending::Terminate,
        2 => Ending::Twice,
        _ => Ending::Kill,
    };
    Event::End(rng.usize(..WORKERS), ending, millis(rng, 100..2_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plan_depends_on_the_seed_alone() {
        let minute = Duration::from_secs(60);
        let shown = |seed| format!("{:?}", plan(seed, minute));
        assert_eq!(shown(7), shown(7));
        assert_ne!(shown(7), shown(8));
    }

    #[test]
    fn a_plan_has_events_of_every_kind_in_order_of_time() {
        let plan = plan(1, Duration::from_secs(600));
        assert!(plan.is_sorted_by_key(|(at, _)| *at));
        let count = |is: fn(&Event) -> bool| plan.iter().filter(|(_, event)| is(event)).count();
        assert!(count(|event| matches!(event, Event::Submit(_))) > 900);
        assert!(count(|event| matches!(event, Event::Fault(..))) > 300);
        for wanted in [Ending::Terminate, Ending::Twice, Ending::Kill] {
            let endings = plan.iter().filter(
                |(_, event)| matches!(event, Event::End(_, ending, _) if *ending == wanted),
            );
            assert!(endings.count() > 20, "{wanted:?}");
        }
    }
}
