//! How many requests, and how much of their content, there may be at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::body::HELD;
use reefguide_transport::open_files::{MANY, at_once};

/// The number of concurrent requests to a near server: more would only wait for its processor or ours.
pub(super) const FEW: usize = 16;
/// From this round-trip time on, a server counts as far. Nearer ones answer thousands of requests per second with
/// few at a time.
pub(super) const FAR: Duration = Duration::from_millis(4);
/// How many bytes of content may be held in memory by all requests together.
const BYTES: u32 = 24 << 20;
/// The memory that the download of a large range is assumed to hold: collected pieces, and the connection's buffer.
pub(super) const RANGE_HELD: u64 = 2 * HELD;

/// Limits that all clones of a [`Storage`](crate::Storage) share.
///
/// The number of requests adapts to their round-trip times: as long as the latest ones take about as long as the
/// fastest one, neither the server nor this machine is busy, and more are allowed.
#[derive(Debug)]
pub(super) struct Concurrency {
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    pace: Mutex<Pace>,
}

#[derive(Debug)]
struct Pace {
    /// The number of requests that is allowed.
    allowed: usize,
    /// The number that may be allowed at most.
    most: usize,
    /// The shortest round trip, which slowly increases.
    fastest: Duration,
    /// How many of the requests that had to connect first are still unanswered.
    connecting: usize,
    /// How many more requests each quick answer allows: many, until the first slow one.
    step: usize,
}

/// The permission to make a request, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    concurrency: Arc<Concurrency>,
    _request: Option<OwnedSemaphorePermit>,
    room: Option<OwnedSemaphorePermit>,
}

impl Permit {
    /// Waits until a request that had no content may hold `bytes` of it.
    pub(super) async fn grow(&mut self, bytes: u64) {
        // Every holder of room already has its request, so it finishes and returns the room.
        self.room = self.concurrency.room(bytes).await;
    }

    /// [`grow`](Self::grow), if that is possible without waiting.
    pub(super) fn try_grow(&mut self, bytes: u64) -> bool {
        let room = Arc::clone(&self.concurrency.bytes).try_acquire_many_owned(share(bytes));
        self.room = room.ok();
        self.room.is_some()
    }

    /// Returns the permission after the answer to a small request, whose time shows how far the server is. Drop it
    /// instead after a failure, whose time shows nothing.
    pub(super) fn answered(self, took: Duration) {
        self.concurrency.took(took);
    }
}

impl Concurrency {
    /// The limits for requests over connections that are encrypted or not. Setting up an encrypted connection takes so
    /// long that the time of its first request does not show how far the server is.
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
    /// The holder of a permit must be able to finish without another one.
    pub(super) async fn request(self: &Arc<Self>, bytes: u64) -> Permit {
        // Never an error, since the semaphores are never closed.
        let request = Arc::clone(&self.requests).acquire_owned().await.ok();
        // Larger content is never held as a whole.
        let room = self.room(bytes.min(HELD)).await;
        Permit {
            concurrency: Arc::clone(self),
            _request: request,
            room,
        }
    }

    async fn room(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let room = Arc::clone(&self.bytes).acquire_many_owned(share(bytes));
        room.await.ok()
    }

    /// Adapts to the time that a small request took.
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
                // Only a free permit can be removed.
                *allowed -= self.requests.forget_permits(1);
            }
        }
    }
}

/// How much of the room `bytes` take.
fn share(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(BYTES).min(BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    async fn take(concurrency: &Arc<Concurrency>) -> Vec<Permit> {
        // tokio limits how much a task may acquire before it yields.
        tokio::task::yield_now().await;
        let mut held = Vec::new();
        while let Some(permit) = concurrency.request(0).now_or_never() {
            held.push(permit);
        }
        held
    }

    #[tokio::test]
    async fn requests_and_their_bytes_are_bounded() {
        let concurrency = Arc::new(Concurrency::new(false));
        let mut held = take(&concurrency).await;
        assert_eq!(held.len(), FEW);
        let grown = held
            .iter_mut()
            .filter_map(|permit| permit.grow(RANGE_HELD).now_or_never());
        assert_eq!(grown.count(), 12);
        assert!(!held[15].try_grow(1));
        drop(held);
        assert!(concurrency.request(u64::MAX).now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_server_that_is_far_gets_more_requests_at_once_and_one_that_is_slow_fewer() {
        let concurrency = Arc::new(Concurrency::new(false));
        let far = Duration::from_millis(20);
        concurrency.took(far);
        assert_eq!(take(&concurrency).await.len(), FEW, "no request waits");

        for _ in 0..1000 {
            let held = take(&concurrency).await;
            concurrency.took(far / 10);
            drop(held);
        }
        assert_eq!(take(&concurrency).await.len(), FEW, "near");

        let concurrency = Arc::new(Concurrency::new(false));
        let mut held = Vec::new();
        for _ in 0..1000 {
            held.extend(take(&concurrency).await);
            concurrency.took(far);
        }
        assert_eq!(held.len(), at_once(MANY));
        drop(held);
        for _ in 0..1000 {
            concurrency.took(far * 8);
        }
        assert_eq!(take(&concurrency).await.len(), FEW);
    }

    #[tokio::test]
    async fn first_encrypted_requests_do_not_count_and_after_a_slow_answer_requests_are_added_singly()
     {
        let concurrency = Arc::new(Concurrency::new(true));
        let far = Duration::from_millis(20);
        let mut held = take(&concurrency).await;
        for _ in 0..FEW {
            concurrency.took(far);
        }
        assert_eq!(take(&concurrency).await.len(), 0);
        concurrency.took(far);
        held.extend(take(&concurrency).await);
        assert_eq!(held.len(), 2 * FEW);

        concurrency.took(far * 8);
        for _ in 0..3 {
            held.extend(take(&concurrency).await);
            concurrency.took(far);
        }
        assert_eq!(take(&concurrency).await.len(), 1);
        assert_eq!(held.len(), 2 * FEW + 2);
    }
}
