//! The progress of transfers.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Notified of all uploads, or of all downloads, besides the [`TransferProgress`] of a job.
pub trait TransferObserver: Debug + Send + Sync {
    /// So many bytes of a file were transferred.
    fn moved(&self, bytes: u64);
    /// A file was transferred.
    fn done(&self);
}

/// Counts the transfers of everything that it is given to, even at the same time. A clone shares the counts.
#[derive(Clone, Debug, Default)]
pub struct TransferProgress {
    counts: Arc<Counts>,
    /// Counts for the whole process.
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

/// Counts as a transfer under way until it is dropped.
#[derive(Debug)]
pub struct TransferGuard(TransferProgress);

impl Drop for TransferGuard {
    fn drop(&mut self) {
        self.0.counts.under_way.fetch_sub(1, Relaxed);
    }
}

/// How much has been transferred.
///
/// The totals grow while a folder is transferred, since its files are found along the way. A file whose transfer
/// failed or was dropped stays in the totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TransferStats {
    /// Files that are done.
    pub files: u64,
    /// Files found so far, including those that are done.
    pub files_found: u64,
    /// Bytes that are done: the server has confirmed them, or they are written to disk.
    pub bytes: u64,
    /// Bytes found so far, including those that are done.
    pub bytes_found: u64,
}

impl TransferProgress {
    /// How much has been transferred so far.
    pub fn now(&self) -> TransferStats {
        let Counts {
            files,
            files_found,
            bytes,
            bytes_found,
            ..
        } = &*self.counts;
        // Read in this order, the numbers done are never larger than those found.
        let (files, bytes) = (files.load(Relaxed), bytes.load(Relaxed));
        TransferStats {
            files,
            files_found: files_found.load(Relaxed).max(files),
            bytes,
            bytes_found: bytes_found.load(Relaxed).max(bytes),
        }
    }

    /// Whether a file is being transferred, or is waiting for its turn.
    pub fn is_under_way(&self) -> bool {
        self.counts.under_way.load(Relaxed) > 0
    }

    /// The same counts, with an observer of everything that is counted through the one returned.
    pub fn with_observer(&self, observer: &Arc<dyn TransferObserver>) -> Self {
        Self {
            counts: self.counts.clone(),
            all: Some(observer.clone()),
        }
    }

    /// Marks a transfer as under way.
    pub fn begin(&self) -> TransferGuard {
        self.counts.under_way.fetch_add(1, Relaxed);
        TransferGuard(self.clone())
    }

    /// Counts a file of `size` bytes that is to be transferred.
    pub fn found(&self, size: u64) {
        self.counts.files_found.fetch_add(1, Relaxed);
        self.counts.bytes_found.fetch_add(size, Relaxed);
    }

    /// Counts transferred bytes.
    pub fn moved(&self, bytes: u64) {
        self.counts.bytes.fetch_add(bytes, Relaxed);
        if let Some(all) = &self.all {
            all.moved(bytes);
        }
    }

    /// Counts a transferred file.
    pub fn done(&self) {
        self.counts.files.fetch_add(1, Relaxed);
        if let Some(all) = &self.all {
            all.done();
        }
    }
}

impl std::fmt::Display for TransferStats {
    /// For example `3 of 12 files, 40 of 512 MiB`.
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
    fn progress_is_shown_in_a_unit_that_fits_the_total() {
        let progress = TransferProgress::default();
        progress.found(12 << 20);
        progress.found(500 << 20);
        progress.moved(12 << 20);
        progress.moved(1);
        progress.done();
        assert_eq!(progress.now().to_string(), "1 of 2 files, 13 of 512 MiB");
    }
}
