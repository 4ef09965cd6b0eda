//! Memory that is used again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::storage::content::PIECE;

/// How many buffers are kept for later.
const SPARE: usize = 16;

/// Memory for pieces of files. The kernel hands fresh memory out page by page, each cleared, which takes about as
/// long as to fill it from a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffers {
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Buffers {
    /// One of [`PIECE`] bytes, with anything in it.
    pub(super) fn take(&self) -> Buffer {
        let spare = self.spare().pop();
        Buffer {
            bytes: spare.unwrap_or_else(|| vec![0; PIECE]),
            home: self.clone(),
        }
    }

    fn spare(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Memory that goes back where it came from.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    home: Buffers,
}

impl Buffer {
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Its first bytes, to be shared.
    pub(super) fn freeze(self, length: usize) -> Bytes {
        Bytes::from_owner(self).slice(..length)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut spare = self.home.spare();
        if spare.len() < SPARE {
            spare.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_once_nobody_has_it_and_only_so_much_is_kept() {
        let buffers = Buffers::default();
        let mut first = buffers.take();
        first.bytes()[..4].copy_from_slice(b"reef");
        let piece = first.freeze(4);
        let other = piece.slice(..2);
        drop(piece);
        assert_eq!((&other[..], buffers.spare().len()), (&b"re"[..], 0));
        drop(other);
        assert_eq!(buffers.spare().len(), 1);
        let many: Vec<_> = (0..2 * SPARE).map(|_| buffers.take()).collect();
        assert_eq!(many[0].bytes[..4], *b"reef");
        assert_eq!(buffers.spare().len(), 0);
        drop(many);
        assert_eq!(buffers.spare().len(), SPARE);
    }
}
