//! How far transfers are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use std::fmt::Debug;

/// Learns of what is moved in one direction, beside the [`TransferProgress`] of a job.
pub trait TransferObserver: Debug + Send + Sync {
    /// A piece of a file was moved.
    fn moved(&self, bytes: u64);
    /// A file was moved.
    fn done(&self);
}

/// Counts what transfers move, several at a time, too. A clone shares the counts.
///
/// ```
/// use reefguide_transport::TransferProgress;
///
/// let progress = TransferProgress::default();
/// progress.found(500 << 20);
/// progress.moved(12 << 20);
/// assert_eq!(progress.now().to_string(), "0 of 1 files, 12 of 500 MiB");
/// ```
#[derive(Clone, Debug, Default)]
pub struct TransferProgress {
    counts: Arc<Counts>,
    /// Where the same is counted for the whole worker.
    all: Option<Arc<dyn TransferObserver>>,
}

#[derive(Debug, Default)]
struct Counts {
    files: AtomicU64,
    files_found: AtomicU64,
    bytes: AtomicU64,
    bytes_found: AtomicU64,
    under_way: AtomicU64,
}

/// A transfer that goes on, for as long as it is kept.
#[derive(Debug)]
pub struct Transferring(TransferProgress);

impl Drop for Transferring {
    fn drop(&mut self) {
        self.0.counts.under_way.fetch_sub(1, Relaxed);
    }
}

/// What was moved until a moment.
///
/// A folder's files are found while others are already moved, so the totals grow until all are. A file
/// that failed, or whose transfer was dropped, stays among those found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransferStats {
    /// Files done.
    pub files: u64,
    /// Files found so far, those done among them.
    pub files_found: u64,
    /// Bytes done: stored for good by the server, or written to disk.
    pub bytes: u64,
    /// Bytes found so far, those done among them.
    pub bytes_found: u64,
}

impl TransferProgress {
    /// What was moved until now.
    pub fn now(&self) -> TransferStats {
        let Counts {
            files,
            files_found,
            bytes,
            bytes_found,
            ..
        } = &*self.counts;
        // Done before found, so that never more is done than found.
        let (files, bytes) = (files.load(Relaxed), bytes.load(Relaxed));
        TransferStats {
            files,
            files_found: files_found.load(Relaxed).max(files),
            bytes,
            bytes_found: bytes_found.load(Relaxed).max(bytes),
        }
    }

    /// Whether a file is being moved, or waits for its turn.
    pub fn is_under_way(&self) -> bool {
        self.counts.under_way.load(Relaxed) > 0
    }

    /// The same counts, which are added to those of the whole worker as well.
    pub fn with_observer(&self, observer: &Arc<dyn TransferObserver>) -> Self {
        Self {
            counts: self.counts.clone(),
            all: Some(observer.clone()),
        }
    }

    /// A transfer begins.
    pub fn begin(&self) -> Transferring {
        self.counts.under_way.fetch_add(1, Relaxed);
        Transferring(self.clone())
    }

    /// A file of `size` bytes is to be moved.
    pub fn found(&self, size: u64) {
        self.counts.files_found.fetch_add(1, Relaxed);
        self.counts.bytes_found.fetch_add(size, Relaxed);
    }

    /// A piece of a file was moved.
    pub fn moved(&self, bytes: u64) {
        self.counts.bytes.fetch_add(bytes, Relaxed);
        if let Some(all) = &self.all {
            all.moved(bytes);
        }
    }

    /// A file was moved.
    pub fn done(&self) {
        self.counts.files.fetch_add(1, Relaxed);
        if let Some(all) = &self.all {
            all.done();
        }
    }
}

impl std::fmt::Display for TransferStats {
    /// Such as `3 of 12 files, 40 of 512 MiB`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            files,
            files_found,
            bytes,
            bytes_found,
        } = self;
        let (unit, name) = match *bytes_found {
            0..0x40_0000 => (1 << 10, "KiB"),
            0x40_0000..0x1_0000_0000 => (1 << 20, "MiB"),
            _ => (1 << 30, "GiB"),
        };
        let (bytes, bytes_found) = (bytes.div_ceil(unit), bytes_found.div_ceil(unit));
        write!(
            f,
            "{files} of {files_found} files, {bytes} of {bytes_found} {name}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_moved_is_told_in_a_unit_that_fits() {
        let progress = TransferProgress::default();
        progress.found(12 << 20);
        progress.found(500 << 20);
        progress.moved(12 << 20);
        progress.moved(1);
        progress.done();
        assert_eq!(progress.now().to_string(), "1 of 2 files, 13 of 512 MiB");
    }
}
