//! Memory that is used again.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::content::PIECE;

/// How many buffers are kept for later.
const SPARE: usize = 16;
/// Where buffers begin is a multiple of this, as it is with the pages that files are copied from. Some processors are
/// several times slower where the places differ a little, as they do with what is just allocated.
const ALIGNED: usize = 4096;

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
            bytes: spare.unwrap_or_else(|| vec![0; PIECE + ALIGNED]),
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
    fn place(&self) -> Range<usize> {
        let start = self.bytes.as_ptr().align_offset(ALIGNED).min(ALIGNED);
        start..start + PIECE
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        let place = self.place();
        &mut self.bytes[place]
    }

    /// Its first bytes, to be shared.
    pub(super) fn freeze(self, length: usize) -> Bytes {
        Bytes::from_owner(self).slice(..length)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[self.place()]
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
        assert_eq!(many[0].as_ref()[..4], *b"reef");
        for buffer in &many {
            let place = buffer.as_ref();
            assert_eq!((place.len(), place.as_ptr().addr() % ALIGNED), (PIECE, 0));
        }
        assert_eq!(buffers.spare().len(), 0);
        drop(many);
        assert_eq!(buffers.spare().len(), SPARE);
    }
}
