//! How many files and connections may be open at once.

use std::sync::LazyLock;

use rustix::process::{Resource, getrlimit};
use tokio::sync::{Semaphore, SemaphorePermit};

/// How many transfers there are at once at the most, where nothing else bounds them.
pub const MANY: usize = 256;

/// What the rest of the process may have open: streams, connections to the API and to this process, pipes of
/// programs.
const OTHERS: u64 = 24;
/// What each transfer may have open: its file, once more where that is compared, and connections, of which the pool
/// may make one too many.
const EACH: u64 = 4;

/// Of all stores in this process.
static TRANSFERS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(at_once(MANY)));

/// Waits until one more file may be transferred. The one that waits must not have permission for another.
pub async fn transfer() -> Option<SemaphorePermit<'static>> {
    // Never an error: it is not closed.
    TRANSFERS.acquire().await.ok()
}

/// How many transfers there may be at once: `most`, unless this process may open too few files for that.
pub fn at_once(most: usize) -> usize {
    within(getrlimit(Resource::Nofile).current, most)
}

/// [`at_once`] for a process that may open `limit` files.
fn within(limit: Option<u64>, most: usize) -> usize {
    let Some(limit) = limit else { return most };
    let transfers = limit.saturating_sub(OTHERS) / EACH;
    usize::try_from(transfers).unwrap_or(most).clamp(1, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfers_follow_the_limit_of_open_files() {
        for (limit, transfers) in [
            (None, 256),
            (Some(1 << 20), 256),
            (Some(1024), 250),
            (Some(64), 10),
            (Some(20), 1),
        ] {
            assert_eq!(within(limit, 256), transfers, "{limit:?}");
        }
    }
}
