//! Files with the bytes of objects and parts, each with a unique id as its name.
//!
//! A [`Blob`] is a handle to a file. The file is removed when its last handle is dropped and no row of the index references
//! it. This rule alone cleans up after interrupted uploads, overwrites and deletions, and lets a download that has started
//! read to the end.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::{fs, io};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, BufWriter};
use tokio_util::io::ReaderStream;
use uuid::Uuid;

/// The size of reads and writes, in bytes.
const BUFFER_BYTES: usize = 256 * 1024;

/// The folder of blobs.
pub(super) struct Blobs {
    folder: PathBuf,
    alive: Mutex<HashMap<String, Weak<Blob>>>,
}

/// One file.
pub(super) struct Blob {
    id: String,
    referenced: AtomicBool,
    blobs: Arc<Blobs>,
}

/// A blob and its size in bytes. An object is a sequence of segments.
#[derive(Clone)]
pub(super) struct Segment {
    pub(super) blob: Arc<Blob>,
    pub(super) size: u64,
}

impl Blobs {
    /// Opens `folder`, which is created if it does not exist.
    pub(super) fn open(folder: PathBuf) -> io::Result<Arc<Self>> {
        fs::create_dir_all(&folder)?;
        let alive = Mutex::default();
        Ok(Arc::new(Self { folder, alive }))
    }

    /// Removes every file that the index does not reference.
    pub(super) fn remove_unreferenced(
        &self,
        is_referenced: impl Fn(&str) -> bool,
    ) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            if !entry.file_name().to_str().is_some_and(&is_referenced) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// The blob `id`, which a row of the index references.
    pub(super) fn get(self: &Arc<Self>, id: &str) -> Arc<Blob> {
        let mut alive = self.alive();
        if let Some(blob) = alive.get(id).and_then(Weak::upgrade) {
            return blob;
        }
        let blob = self.blob(id.to_owned(), true);
        alive.insert(id.to_owned(), Arc::downgrade(&blob));
        blob
    }

    /// Writes `bytes` to a new blob and passes each chunk to `inspect`. Dropping the future removes the file, as does
    /// dropping the segment before it is [referenced](Blob::set_referenced).
    pub(super) async fn write<E>(
        self: &Arc<Self>,
        mut bytes: impl Stream<Item = Result<Bytes, E>> + Unpin,
        mut inspect: impl FnMut(&[u8]),
    ) -> Result<Segment, WriteError<E>> {
        let blob = self.blob(Uuid::new_v4().simple().to_string(), false);
        self.alive().insert(blob.id.clone(), Arc::downgrade(&blob));
        // Not with tokio: an open that is still queued when this future is dropped would create the file after the blob
        // has been removed.
        let file = fs::File::create_new(blob.path()).map_err(WriteError::File)?;
        let mut file = BufWriter::with_capacity(BUFFER_BYTES, File::from_std(file));
        let mut size = 0;
        while let Some(chunk) = bytes.next().await {
            let chunk = chunk.map_err(WriteError::Bytes)?;
            inspect(&chunk);
            file.write_all(&chunk).await.map_err(WriteError::File)?;
            size += chunk.len() as u64;
        }
        file.flush().await.map_err(WriteError::File)?;
        Ok(Segment { blob, size })
    }

    fn blob(self: &Arc<Self>, id: String, referenced: bool) -> Arc<Blob> {
        Arc::new(Blob {
            id,
            referenced: AtomicBool::new(referenced),
            blobs: Arc::clone(self),
        })
    }

    fn alive(&self) -> MutexGuard<'_, HashMap<String, Weak<Blob>>> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why [`Blobs::write`] stopped.
pub(super) enum WriteError<E> {
    /// The bytes could not be received.
    Bytes(E),
    /// The bytes could not be written to the file.
    File(io::Error),
}

impl Blob {
    /// The file's name.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Records whether a row of the index references this blob. Call it while holding the index's lock, so that no other
    /// thread looks up a blob that is about to be removed.
    pub(super) fn set_referenced(&self, referenced: bool) {
        self.referenced.store(referenced, Ordering::Relaxed);
    }

    fn path(&self) -> PathBuf {
        Path::new(&self.blobs.folder).join(&self.id)
    }
}

impl Drop for Blob {
    fn drop(&mut self) {
        let mut alive = self.blobs.alive();
        // Another `Blob` may have replaced this one since its last reference was dropped.
        if alive
            .get(&self.id)
            .is_some_and(|blob| blob.strong_count() == 0)
        {
            alive.remove(&self.id);
        }
        drop(alive);
        if !*self.referenced.get_mut()
            && let Err(error) = fs::remove_file(self.path())
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(blob = %self.id, %error, "cannot remove the bytes of a deleted object");
        }
    }
}

/// Reads all bytes of `segments` into memory.
pub(super) fn read_whole(segments: &[Segment]) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for segment in segments {
        bytes.extend(fs::read(segment.blob.path())?);
    }
    Ok(bytes)
}

/// Streams the bytes in `range` of `segments`.
pub(super) fn read(
    segments: Vec<Segment>,
    range: Range<u64>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
    let mut start = 0;
    let pieces: Vec<_> = segments
        .into_iter()
        .filter_map(|segment| {
            let end = start + segment.size;
            let wanted = range.start.max(start)..range.end.min(end);
            let piece = (!wanted.is_empty())
                .then(|| (segment.blob, wanted.start - start..wanted.end - start));
            start = end;
            piece
        })
        .collect();
    stream::iter(pieces)
        .then(|(blob, range)| async move {
            let mut file = File::open(blob.path()).await?;
            file.seek(io::SeekFrom::Start(range.start)).await?;
            let file = file.take(range.end - range.start);
            let bytes = ReaderStream::with_capacity(file, BUFFER_BYTES);
            // Keep the blob for as long as its file is read.
            Ok::<_, io::Error>(bytes.inspect(move |_| _ = &blob))
        })
        .try_flatten()
}
