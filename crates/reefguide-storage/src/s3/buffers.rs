//! Reusable memory.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::content::PIECE;

/// How many unused buffers are kept.
const SPARE: usize = 16;
/// Buffers begin at a multiple of this, like the pages of the file cache. Some processors copy several times slower
/// between addresses whose low bits differ slightly, as they do for memory from the allocator.
const ALIGNED: usize = 4096;

/// Memory for pieces of files. The kernel clears each page of fresh memory, which takes about as
/// long as to fill it from a file.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffers {
    spare: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Buffers {
    /// A buffer of [`PIECE`] bytes with arbitrary content.
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

/// Memory that returns to its [`Buffers`] when it is dropped.
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

    /// Its first `length` bytes, shareable.
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
    fn a_buffer_is_reused_once_it_is_no_longer_shared_and_only_some_are_kept() {
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
