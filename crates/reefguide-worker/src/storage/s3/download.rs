//! Reading an object: in one request, or in ranges.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::mem;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{S3, size};
use crate::Chain;
use crate::retry::{Delays, RetryPolicy};
use crate::storage::content::blocking;
use crate::storage::transfer::on_task;
use crate::storage::{Action, ObjectInfo, StorageError, StorageUri, TransferProgress};

/// The largest object that is read in one request, in bytes.
const WHOLE: u64 = 16 << 20;
/// The size of a range of a larger one, in bytes.
const RANGE: u64 = 8 << 20;
/// How many ranges of one object are under way at once.
const RANGES_AT_ONCE: usize = 4;
/// How much of a range is gathered before it is written, in bytes.
const BUFFER: usize = 512 << 10;
/// How a request is repeated whose content broke off.
const REPEAT: RetryPolicy = RetryPolicy::new(Duration::from_millis(200))
    .cap(Duration::from_secs(5))
    .tries(4);

/// Writes the object `from` into the file `to`, from several places at once if it is large.
pub(super) async fn to_file(
    s3: &S3,
    from: &StorageUri,
    to: &Path,
    progress: &TransferProgress,
) -> Result<ObjectInfo, StorageError> {
    let permit = s3.limits.request(0).await;
    let (version, content) = Version::newest(s3, from).await?;
    let size = version.info.size;
    progress.found(size);
    let whole = size <= WHOLE;
    let first = if whole { 0..size } else { 0..RANGE };
    let begin = version.clone();
    begin
        .write_range(Some(content), first.clone(), to, progress)
        .await?;
    drop(permit);

    let ranges = (first.end..size).step_by(RANGE as usize);
    stream::iter(ranges)
        .map(|start| {
            let (version, to, progress) = (version.clone(), to.to_owned(), progress.clone());
            let range = start..size.min(start + RANGE);
            on_task(async move {
                let _permit = version.s3.limits.request(0).await;
                version.write_range(None, range, &to, &progress).await
            })
        })
        .buffer_unordered(RANGES_AT_ONCE)
        .try_collect::<()>()
        .await?;
    Ok(version.info)
}

/// Reads the object `from`, unless it is larger than `limit`.
pub(super) async fn to_memory(
    s3: &S3,
    from: &StorageUri,
    limit: u64,
) -> Result<Bytes, StorageError> {
    let _permit = s3.limits.request(0).await;
    let (version, content) = Version::newest(s3, from).await?;
    version.info.within(limit)?;
    let all = 0..version.info.size;
    let mut bytes = Vec::new();
    let mut pieces = version.pieces(Some(content), all);
    while let Some(piece) = pieces.next().await? {
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.into())
}

/// One version of an object. Every request for it fails once the object was replaced, so pieces of
/// two versions are never mixed.
#[derive(Clone)]
struct Version {
    s3: S3,
    info: ObjectInfo,
}

impl Version {
    async fn newest(s3: &S3, uri: &StorageUri) -> Result<(Self, ByteStream), StorageError> {
        let answer = get(s3, uri, None, None).await?;
        let info = ObjectInfo {
            uri: uri.clone(),
            size: size(answer.content_length),
            etag: answer.e_tag,
        };
        let s3 = s3.clone();
        Ok((Self { s3, info }, answer.body))
    }

    /// Writes a range of the object to the same place in the file `to`.
    async fn write_range(
        self,
        content: Option<ByteStream>,
        range: Range<u64>,
        to: &Path,
        progress: &TransferProgress,
    ) -> Result<(), StorageError> {
        let mut at = range.start;
        let mut gathered = Vec::new();
        let mut pieces = self.pieces(content, range);
        while let Some(piece) = pieces.next().await? {
            gathered.extend_from_slice(&piece);
            if gathered.len() >= BUFFER {
                let length = gathered.len() as u64;
                write_at(to, at, mem::take(&mut gathered)).await?;
                at += length;
                progress.moved(length);
            }
        }
        let length = gathered.len() as u64;
        write_at(to, at, gathered).await?;
        progress.moved(length);
        Ok(())
    }

    /// A range of the object: from `content`, which may go on after it, as far as that comes, and
    /// from requests of its own after that.
    fn pieces(self, content: Option<ByteStream>, range: Range<u64>) -> Pieces {
        Pieces {
            cut: content.is_some() && range.end < self.info.size,
            version: self,
            content,
            range,
            delays: REPEAT.delays(),
        }
    }

    async fn get(&self, range: &Range<u64>) -> Result<ByteStream, StorageError> {
        let etag = self.info.etag.as_deref();
        let wanted = format!("bytes={}-{}", range.start, range.end - 1);
        let answer = get(&self.s3, &self.info.uri, Some(wanted), etag).await?;
        let begins = format!("bytes {}-", range.start);
        match answer.content_range {
            Some(given) if given.starts_with(&begins) => Ok(answer.body),
            given => Err(self.broken(format!("asked for {range:?}, got {given:?}"))),
        }
    }

    fn broken(&self, problem: String) -> StorageError {
        StorageError::Broken {
            action: Action::Read,
            uri: self.info.uri.clone(),
            problem,
        }
    }
}

/// A range of an object as it arrives. What breaks off is asked for again from there.
struct Pieces {
    version: Version,
    content: Option<ByteStream>,
    /// What is still to come.
    range: Range<u64>,
    /// Whether `content` goes on after the range.
    cut: bool,
    delays: Delays,
}

impl Pieces {
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        loop {
            if self.cut && self.range.is_empty() {
                return Ok(None);
            }
            let content = match &mut self.content {
                Some(content) => content,
                None => {
                    self.cut = false;
                    self.content.insert(self.version.get(&self.range).await?)
                }
            };
            let problem = match content.try_next().await {
                Ok(Some(mut piece)) => {
                    let left = self.range.end - self.range.start;
                    piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                    self.range.start += piece.len() as u64;
                    return Ok(Some(piece));
                }
                Ok(None) if self.range.is_empty() => return Ok(None),
                Ok(None) => "its content ended early".to_owned(),
                Err(error) => format!("its content broke off: {}", Chain(&error)),
            };
            // With every byte here, only the checksum can be wrong: asking for nothing more helps.
            let (false, Some(delay)) = (self.range.is_empty(), self.delays.next()) else {
                return Err(self.version.broken(problem));
            };
            tracing::debug!(object = %self.version.info.uri, at = self.range.start, problem, "content broke off");
            self.content = None;
            tokio::time::sleep(delay).await;
        }
    }
}

async fn write_at(path: &Path, at: u64, bytes: Vec<u8>) -> Result<(), StorageError> {
    let path = path.to_owned();
    blocking(move || {
        let written = || {
            let mut file = File::options().write(true).open(&path)?;
            file.seek(SeekFrom::Start(at))?;
            file.write_all(&bytes)
        };
        written().map_err(StorageError::local("write", &path))
    })
    .await
}

async fn get(
    s3: &S3,
    uri: &StorageUri,
    range: Option<String>,
    etag: Option<&str>,
) -> Result<GetObjectOutput, StorageError> {
    s3.client
        .get_object()
        .bucket(uri.bucket())
        .key(uri.key())
        .set_range(range)
        .set_if_match(etag.map(str::to_owned))
        .send()
        .await
        .map_err(|error| s3.failed(Action::Read, uri, error))
}
