//! How much may be under way at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many requests.
const REQUESTS: usize = 32;
/// How many bytes of content may be held in memory to be sent. A single larger piece is sent alone.
const BYTES: u32 = 32 << 20;

/// Bounds that all clones of a [`Storage`](crate::storage::Storage) share.
#[derive(Debug)]
pub(super) struct Limits {
    requests: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: Arc::new(Semaphore::new(REQUESTS)),
            bytes: Arc::new(Semaphore::new(BYTES as usize)),
        }
    }
}

/// The permission to make a request, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    _held: [Option<OwnedSemaphorePermit>; 2],
}

impl Limits {
    /// Waits until a request with `bytes` of content may be made.
    ///
    /// Whoever holds a permit must be able to finish without another one.
    pub(super) async fn request(&self, bytes: u64) -> Permit {
        let bytes = u32::try_from(bytes).unwrap_or(BYTES).min(BYTES);
        // Never an error: the semaphores are not closed.
        let request = Arc::clone(&self.requests).acquire_owned().await.ok();
        let bytes = Arc::clone(&self.bytes).acquire_many_owned(bytes).await.ok();
        Permit {
            _held: [request, bytes],
        }
    }
}
