//! How much may be under way at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::body::HELD;
use reefguide_transport::open_files::{MANY, at_once};

/// How many requests there may be to a server that is near: more would only wait for its processor or ours.
pub(super) const FEW: usize = 16;
/// How long the answers of a server take at least that is far. With few requests at a time, nearer ones answer
/// thousands of them a second.
pub(super) const FAR: Duration = Duration::from_millis(4);
/// How many bytes of content may be held in memory, in all.
const BYTES: u32 = 24 << 20;
/// What the download of a large range is taken to hold: what was gathered, and what the connection has read.
pub(super) const RANGE_HELD: u64 = 2 * HELD;

/// Bounds that all clones of a [`Storage`](crate::Storage) share.
///
/// The number of requests follows their round trips: while the last ones take about as long as the
/// fastest did, the server and this machine have nothing to do but wait, and more are allowed.
#[derive(Debug)]
pub(super) struct Limits {
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    pace: Mutex<Pace>,
}

#[derive(Debug)]
struct Pace {
    /// How many requests are allowed.
    allowed: usize,
    /// How many may be in the end.
    most: usize,
    /// The shortest round trip, forgotten slowly.
    fastest: Duration,
    /// How many answers are still to come of the requests that had to connect first.
    connecting: usize,
    /// How many more each quick answer allows: many, until the first slow one.
    step: usize,
}

/// The permission to make a request, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    limits: Arc<Limits>,
    _request: Option<OwnedSemaphorePermit>,
    room: Option<OwnedSemaphorePermit>,
}

impl Permit {
    /// Waits until a request that had no content may hold `bytes` of it.
    pub(super) async fn grow(&mut self, bytes: u64) {
        // Whoever has room has its request too, so somebody will give some back.
        self.room = self.limits.room(bytes).await;
    }

    /// [`grow`](Self::grow), if that is possible at once.
    pub(super) fn try_grow(&mut self, bytes: u64) -> bool {
        let room = Arc::clone(&self.limits.bytes).try_acquire_many_owned(share(bytes));
        self.room = room.ok();
        self.room.is_some()
    }

    /// Gives the permission back after an answer to a small request. The time it took tells how far the
    /// server is; a request that failed tells nothing.
    pub(super) fn answered(self, took: Duration) {
        self.limits.took(took);
    }
}

impl Limits {
    /// The bounds of requests over connections that are encrypted or not. An encrypted one takes so much to
    /// begin that its first request tells nothing of how far the server is.
    pub(super) fn new(encrypted: bool) -> Self {
        let most = at_once(MANY);
        let allowed = FEW.min(most);
        Self {
            requests: Arc::new(Semaphore::new(allowed)),
            bytes: Arc::new(Semaphore::new(BYTES as usize)),
            pace: Mutex::new(Pace {
                allowed,
                most,
                fastest: Duration::MAX,
                connecting: if encrypted { FEW } else { 0 },
                step: FEW,
            }),
        }
    }

    /// Waits until a request with `bytes` of content may be made.
    ///
    /// Whoever holds a permit must be able to finish without another one.
    pub(super) async fn request(self: &Arc<Self>, bytes: u64) -> Permit {
        // Never an error: the semaphores are not closed.
        let request = Arc::clone(&self.requests).acquire_owned().await.ok();
        // What is larger is never held as a whole.
        let room = self.room(bytes.min(HELD)).await;
        Permit {
            limits: Arc::clone(self),
            _request: request,
            room,
        }
    }

    async fn room(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let room = Arc::clone(&self.bytes).acquire_many_owned(share(bytes));
        room.await.ok()
    }

    /// Learns from the time that a small request took.
    fn took(&self, time: Duration) {
        let busy = self.requests.available_permits() == 0;
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let Pace {
            allowed,
            most,
            fastest,
            connecting,
            step,
        } = &mut *pace;
        *fastest = time.min(fastest.saturating_add(*fastest / 1024));
        if *connecting > 0 {
            *connecting -= 1;
        } else if busy && (FAR..*fastest * 2).contains(&time) {
            let more = (*step).min(*most - *allowed);
            self.requests.add_permits(more);
            *allowed += more;
        } else if time > *fastest * 4 {
            *step = 1;
            if *allowed > FEW {
                // Out of the free ones, if there are any.
                *allowed -= self.requests.forget_permits(1);
            }
        }
    }
}

/// How much of the room there is `bytes` take.
fn share(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(BYTES).min(BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    async fn take(limits: &Arc<Limits>) -> Vec<Permit> {
        // A task may take only so much before it has to let others run.
        tokio::task::yield_now().await;
        let mut held = Vec::new();
        while let Some(permit) = limits.request(0).now_or_never() {
            held.push(permit);
        }
        held
    }

    #[tokio::test]
    async fn requests_and_their_bytes_are_bounded() {
        let limits = Arc::new(Limits::new(false));
        let mut held = take(&limits).await;
        assert_eq!(held.len(), FEW);
        let grown = held
            .iter_mut()
            .filter_map(|permit| permit.grow(RANGE_HELD).now_or_never());
        assert_eq!(grown.count(), 12);
        assert!(!held[15].try_grow(1));
        drop(held);
        assert!(limits.request(u64::MAX).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_server_that_is_far_gets_more_requests_at_once_and_one_that_is_slow_fewer() {
        let limits = Arc::new(Limits::new(false));
        let far = Duration::from_millis(20);
        limits.took(far);
        assert_eq!(take(&limits).await.len(), FEW, "nobody waits");

        for _ in 0..1000 {
            let held = take(&limits).await;
            limits.took(far / 10);
            drop(held);
        }
        assert_eq!(take(&limits).await.len(), FEW, "near");

        let limits = Arc::new(Limits::new(false));
        let mut held = Vec::new();
        for _ in 0..1000 {
            held.extend(take(&limits).await);
            limits.took(far);
        }
        assert_eq!(held.len(), at_once(MANY));
        drop(held);
        for _ in 0..1000 {
            limits.took(far * 8);
        }
        assert_eq!(take(&limits).await.len(), FEW);
    }

    #[tokio::test]
    async fn encrypting_teaches_nothing_and_after_a_slow_answer_requests_are_added_one_at_a_time() {
        let limits = Arc::new(Limits::new(true));
        let far = Duration::from_millis(20);
        let mut held = take(&limits).await;
        for _ in 0..FEW {
            limits.took(far);
        }
        assert_eq!(take(&limits).await.len(), 0);
        limits.took(far);
        held.extend(take(&limits).await);
        assert_eq!(held.len(), 2 * FEW);

        limits.took(far * 8);
        for _ in 0..3 {
            held.extend(take(&limits).await);
            limits.took(far);
        }
        assert_eq!(take(&limits).await.len(), 1);
        assert_eq!(held.len(), 2 * FEW + 2);
    }
}
