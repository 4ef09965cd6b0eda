//! The faults of a lab: which are set, and which of them fires on a request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::fault::{Fault, FaultKind};
use crate::route::Route;

/// Identifies a fault that was set, to remove it or to look up how often it fired.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultId(pub(crate) u64);

/// A fault that was set, and how often it has fired.
#[derive(Debug, Clone, Serialize)]
pub struct SetFault {
    /// Identifies the fault.
    pub id: FaultId,
    /// What it does, and to which requests.
    #[serde(flatten)]
    pub fault: Fault,
    /// How often it has fired so far.
    pub fired: u64,
    /// How many requests it has let through before its first.
    #[serde(skip)]
    passed: u64,
}

/// The faults of a lab. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    state: Arc<Mutex<State>>,
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    set: Vec<SetFault>,
    last_id: u64,
}

impl Faults {
    /// No fault is set. Every change is announced on `changes`.
    pub(crate) fn new(changes: watch::Sender<u64>) -> Self {
        Self {
            state: Arc::default(),
            changes,
        }
    }

    /// Sets a fault. If several apply to a request, only the one that was set first fires.
    pub fn add(&self, fault: Fault) -> FaultId {
        let mut state = self.lock();
        state.last_id += 1;
        let id = FaultId(state.last_id);
        state.set.push(SetFault {
            id,
            fault,
            fired: 0,
            passed: 0,
        });
        self.announce(state);
        id
    }

    /// Removes a fault. Returns `false` if it was not set.
    pub fn remove(&self, id: FaultId) -> bool {
        let mut state = self.lock();
        let before = state.set.len();
        state.set.retain(|set| set.id != id);
        let removed = state.set.len() < before;
        self.announce(state);
        removed
    }

    /// Removes all faults.
    pub fn clear(&self) {
        let mut state = self.lock();
        state.set.clear();
        self.announce(state);
    }

    /// How often the faults that are set have fired in total.
    pub fn fired(&self) -> u64 {
        self.lock().set.iter().map(|set| set.fired).sum()
    }

    /// All faults that are set, including those that will not fire again.
    pub fn all(&self) -> Vec<SetFault> {
        self.lock().set.clone()
    }

    /// The kind of the fault that fires on a request to `route`, if one does. Counts it.
    pub(crate) fn fire(&self, route: Route, reused_connection: bool) -> Option<FaultKind> {
        let mut state = self.lock();
        let applies = |set: &&mut SetFault| {
            set.fault.route.covers(route)
                && set.fault.count.is_none_or(|count| set.fired < count)
                && (reused_connection || set.fault.kind != FaultKind::StaleKeepAlive)
        };
        for set in state.set.iter_mut().filter(applies) {
            if set.passed < set.fault.skip {
                set.passed += 1;
                continue;
            }
            set.fired += 1;
            return Some(set.fault.kind.clone());
        }
        None
    }

    fn announce(&self, state: MutexGuard<'_, State>) {
        drop(state);
        self.changes.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_skips_some_requests_and_fires_its_count_of_times() {
        let faults = Faults::default();
        faults.add(Fault::reset(Route::Poll).after(1).times(2));
        let fired: Vec<_> = (0..5)
            .map(|_| faults.fire(Route::Poll, false).is_some())
            .collect();
        assert_eq!(fired, [false, true, true, false, false]);
        assert_eq!(
            (faults.fired(), faults.fire(Route::Assign, false)),
            (2, None)
        );
    }

    #[test]
    fn only_the_fault_set_first_fires_and_a_removed_one_never_does() {
        let faults = Faults::default();
        let first = faults.add(Fault::status(Route::Any, 500));
        faults.add(Fault::status(Route::Poll, 503));
        let status = |status| {
            Some(FaultKind::Status {
                status,
                retry_after: None,
            })
        };
        assert_eq!(faults.fire(Route::Poll, false), status(500));
        assert!(faults.remove(first) && !faults.remove(first));
        assert_eq!(faults.fire(Route::Poll, false), status(503));
        faults.clear();
        assert_eq!(faults.fire(Route::Poll, false), None);
    }

    #[test]
    fn a_stale_keep_alive_fires_only_on_a_reused_connection() {
        let faults = Faults::default();
        faults.add(Fault::stale_keep_alive(Route::Any).times(1));
        assert_eq!(faults.fire(Route::Poll, false), None);
        assert_eq!(
            faults.fire(Route::Poll, true),
            Some(FaultKind::StaleKeepAlive)
        );
    }
}
