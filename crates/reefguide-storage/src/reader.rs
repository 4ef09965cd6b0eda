//! Reading an object as it arrives.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::{fmt, io, mem};

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::io::{AsyncBufRead, AsyncRead, ReadBuf};

use crate::{ObjectInfo, StorageError, TransferProgress};

/// The content of an object, as it arrives; from [`Storage::open`](super::Storage::open).
///
/// Read it with [`next`](Self::next), as a [`tokio::io::AsyncRead`], or by lines as a
/// [`tokio::io::AsyncBufRead`]; the errors of the latter two wrap a [`StorageError`]. After a broken connection,
/// reading continues where it was, unless the object was replaced.
///
/// **The content is verified only at its end**: trust it once reading has ended without an error, since only then
/// has all of it been compared with the store's checksum. Nothing follows an error.
///
/// A reader of an object of any size holds some hundred KiB and one connection. It blocks no other
/// transfer, so you can have any number open at the same time.
///
/// # Cancel safety
/// You can drop the futures of a reader at any time and continue reading later; nothing is lost.
///
/// ```
/// # use reefguide_storage::{Storage, StorageUri};
/// use tokio::io::AsyncBufReadExt;
///
/// # async fn count(storage: &Storage, table: &StorageUri) -> Result<u64, Box<dyn std::error::Error>> {
/// let mut lines = storage.open(table).await?.lines();
/// let mut deep = 0;
/// while let Some(line) = lines.next_line().await? {
///     deep += u64::from(line.starts_with("deep"));
/// }
/// # Ok(deep)
/// # }
/// ```
pub struct ObjectReader {
    info: ObjectInfo,
    pieces: ContentStream,
    /// The unread rest of the last piece.
    rest: Bytes,
    /// `None` after the end.
    progress: Option<TransferProgress>,
}

/// The content of an object, piece by piece. Ends with an error if it differs from the content in the store.
pub(crate) type ContentStream = BoxStream<'static, Result<Bytes, StorageError>>;

impl ObjectReader {
    /// A reader of `pieces`, which `progress` counts.
    pub(super) fn new(info: ObjectInfo, pieces: ContentStream, progress: TransferProgress) -> Self {
        progress.found(info.size);
        Self {
            info,
            pieces,
            rest: Bytes::new(),
            progress: Some(progress),
        }
    }

    /// Describes the object.
    pub fn info(&self) -> &ObjectInfo {
        &self.info
    }

    /// The next piece, of any size; `None` after the last one.
    pub async fn next(&mut self) -> Option<Result<Bytes, StorageError>> {
        if self.rest.is_empty() {
            return poll_fn(|context| self.poll_piece(context)).await;
        }
        Some(Ok(mem::take(&mut self.rest)))
    }

    fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, StorageError>>> {
        let piece = ready!(self.pieces.poll_next_unpin(context));
        match &piece {
            Some(Ok(piece)) => {
                if let Some(progress) = &self.progress {
                    progress.moved(piece.len() as u64);
                }
            }
            Some(Err(_)) => self.progress = None,
            None => {
                if let Some(progress) = self.progress.take() {
                    progress.done();
                }
            }
        }
        Poll::Ready(piece)
    }
}

impl AsyncBufRead for ObjectReader {
    fn poll_fill_buf(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        // An empty piece is not the end.
        while this.rest.is_empty() {
            match ready!(this.poll_piece(context)) {
                Some(Ok(piece)) => this.rest = piece,
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => break,
            }
        }
        Poll::Ready(Ok(&this.rest))
    }

    fn consume(mut self: Pin<&mut Self>, read: usize) {
        self.rest.advance(read);
    }
}

impl AsyncRead for ObjectReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = ready!(self.as_mut().poll_fill_buf(context))?;
        let read = filled.len().min(buffer.remaining());
        buffer.put_slice(&filled[..read]);
        self.consume(read);
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for ObjectReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObjectReader")
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}
