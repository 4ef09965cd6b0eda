//! Limits the files and connections that are open at once.

use std::sync::LazyLock;

use rustix::process::{Resource, getrlimit};
use tokio::sync::{Semaphore, SemaphorePermit};

/// The maximum number of concurrent transfers, unless something else limits them further.
pub const MANY: usize = 256;

/// Files that the rest of the process may have open: standard streams, connections from and to this process, and pipes
/// of programs.
const OTHERS: u64 = 24;
/// Files that each transfer may have open: its file, the same file again to verify it, and connections, of which the
/// pool may open one too many.
const EACH: u64 = 4;

/// Shared by all stores in this process.
static TRANSFERS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(at_once(MANY)));

/// Waits until one more file may be transferred. The caller must not hold a permit already.
pub async fn transfer() -> Option<SemaphorePermit<'static>> {
    // Never an error, since it is never closed.
    TRANSFERS.acquire().await.ok()
}

/// The number of transfers that there may be at once: `most`, or fewer if this process may not open enough files.
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
