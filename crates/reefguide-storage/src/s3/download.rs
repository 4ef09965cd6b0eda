//! Downloading an object to a file, in one request or in ranges.

use std::fs::File;
use std::iter;
use std::mem;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use aws_sdk_s3::operation::get_object::{GetObjectInput, GetObjectOutput};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::ChecksumMode;
use bytes::Bytes;
use crc_fast::Digest;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::time::timeout;

use super::concurrency::{FAR, RANGE_HELD};
use super::content_headers::expected;
use super::tries::Tries;
use super::{RETRIES, S3, size};
use crate::transfer::on_task;
use crate::{Action, ObjectInfo, StorageError, StorageUri, TransferProgress};
use reefguide_transport::Chain;
use reefguide_transport::atomic_file::{AtomicFile, Destination};
use reefguide_transport::blocking::blocking;
use reefguide_transport::checksum::{Expected, Verification};
use reefguide_transport::retry::Delays;

/// The largest object that is downloaded in one request, in bytes.
const WHOLE: u64 = 16 << 20;
/// The size of the ranges of a larger one, in bytes.
const RANGE: u64 = 8 << 20;
/// How many ranges of one object are downloaded at once, from a near server and from a far one.
const RANGES_AT_ONCE: [usize; 2] = [4, 8];
/// The largest object that is held in memory as a whole and then written, in bytes.
const SMALL: u64 = 256 << 10;
/// How many bytes of a range are collected before they are written.
const BUFFER: usize = 1 << 20;

/// Writes the object `from` to the file `to`, several ranges at once if it is large.
pub(super) async fn to_file(
    s3: &S3,
    from: &StorageUri,
    to: Destination,
    progress: &TransferProgress,
) -> Result<ObjectInfo, StorageError> {
    let mut permit = s3.concurrency.request(0).await;
    let asked = Instant::now();
    let (version, content, expected) = Version::newest(s3, from).await?;
    let at_once = RANGES_AT_ONCE[usize::from(asked.elapsed() >= FAR)];
    let size = version.info.size;
    progress.found(size);
    if size <= SMALL {
        let bytes = version.clone().whole(content).await?;
        permit.answered(asked.elapsed());
        return version.commit_small(bytes, expected, to, progress).await;
    }
    permit.grow(RANGE_HELD).await;
    let part = match expected {
        Expected::Parts(..) => version.part(1).await,
        _ => None,
    };
    let verification = Verification::new(expected, size, part);
    let target = Arc::new(Target::at(to, size, verification, progress.clone()).await?);
    let end = |start: u64, length| {
        let part_end = target.verification.end(start);
        size.min(start + length).min(part_end)
    };
    let first = 0..end(0, if size <= WHOLE { WHOLE } else { RANGE });
    let ranges = iter::successors(Some(first), |last| {
        (last.end < size).then(|| last.end..end(last.end, RANGE))
    });
    let mut begun = Some((permit, content));
    let pieces = ranges.map(|range| (range, begun.take()));
    stream::iter(pieces)
        .map(|(range, begun)| {
            let (version, target) = (version.clone(), Arc::clone(&target));
            on_task(async move {
                let (_permit, content) = match begun {
                    Some((permit, content)) => (permit, Some(content)),
                    None => {
                        let mut permit = version.s3.concurrency.request(0).await;
                        permit.grow(RANGE_HELD).await;
                        (permit, None)
                    }
                };
                let pieces = version.pieces(content, range.clone());
                target.take(pieces, range).await
            })
        })
        .buffer_unordered(at_once)
        .try_collect::<()>()
        .await?;
    let Some(target) = Arc::into_inner(target) else {
        let problem = "a range of it is still being written".to_owned();
        return Err(version.broken(&version.tries, problem));
    };
    match blocking(|| target.commit()).await? {
        Committed::Done => Ok(version.info),
        // A checksum of parts proves nothing if their sizes are not the assumed ones.
        Committed::Mismatch(file) => match part {
            Some(part) if version.has_parts_of_another_size(part).await => {
                blocking(|| file.commit()).await?;
                Ok(version.info)
            }
            _ => Err(version.corrupted()),
        },
    }
}

/// The file that several ranges of an object are written to at once.
struct Target {
    /// Held while writing: the kernel allows one write to a file at a time, and others would
    /// waste processor time spinning.
    turn: Arc<Mutex<()>>,
    file: AtomicFile,
    verification: Verification,
    progress: TransferProgress,
}

/// The result of committing a file.
enum Committed {
    Done,
    /// Its checksum does not match.
    Mismatch(AtomicFile),
}

impl Target {
    async fn at(
        to: Destination,
        size: u64,
        verification: Verification,
        progress: TransferProgress,
    ) -> Result<Self, StorageError> {
        blocking(move || {
            let file = AtomicFile::at(to)?;
            file.reserve(size)?;
            Ok(Self {
                turn: Arc::default(),
                file,
                verification,
                progress,
            })
        })
        .await
    }

    /// Gives the file its name if the checksum matches. Blocks.
    fn commit(self) -> Result<Committed, StorageError> {
        let path = self.file.path();
        let right = self.verification.is_right(|| File::open(path));
        if !right.map_err(StorageError::local("read", path))? {
            return Ok(Committed::Mismatch(self.file));
        }
        self.file.commit()?;
        Ok(Committed::Done)
    }

    /// Writes a range of the object to the same range of the file.
    async fn take(&self, mut pieces: Pieces, range: Range<u64>) -> Result<(), StorageError> {
        let mut at = range.start;
        let mut digest = self.verification.digest();
        let mut collected = Vec::new();
        let mut length = 0;
        while let Some(piece) = pieces.next().await? {
            length += piece.len();
            collected.push(piece);
            if length >= BUFFER {
                digest = self.write(at, mem::take(&mut collected), digest).await?;
                at += mem::take(&mut length) as u64;
            }
        }
        digest = self.write(at, collected, digest).await?;
        if let (Some(digest), false) = (digest, range.is_empty()) {
            self.verification.add(range, &digest);
        }
        Ok(())
    }

    /// Writes `pieces` in order, starting at `at`.
    async fn write(
        &self,
        at: u64,
        pieces: Vec<Bytes>,
        mut digest: Option<Digest>,
    ) -> Result<Option<Digest>, StorageError> {
        let (file, turn) = (Arc::clone(self.file.file()), Arc::clone(&self.turn));
        let path = self.file.target().to_owned();
        let written = blocking(move || {
            if let Some(digest) = &mut digest {
                pieces.iter().for_each(|piece| digest.update(piece));
            }
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            let mut at = at;
            for piece in pieces {
                file.write_all_at(&piece, at)
                    .map_err(StorageError::local("write", &path))?;
                at += piece.len() as u64;
            }
            Ok::<_, StorageError>((digest, at))
        });
        let (digest, end) = written.await?;
        self.progress.moved(end - at);
        Ok(digest)
    }
}

/// One version of an object. Requests for it fail once the object has been replaced, so that pieces of
/// two versions are never mixed.
#[derive(Clone)]
pub(super) struct Version {
    s3: S3,
    pub(super) info: ObjectInfo,
    /// The tries of the first request.
    tries: Tries,
}

impl Version {
    pub(super) async fn newest(
        s3: &S3,
        uri: &StorageUri,
    ) -> Result<(Self, ByteStream, Expected), StorageError> {
        let mut tries = Tries::begin();
        let answer = get(s3, uri, None, None, &mut tries).await?;
        let expected = expected(&answer);
        let info = ObjectInfo {
            uri: uri.clone(),
            size: size(answer.content_length),
            etag: answer.e_tag,
        };
        let s3 = s3.clone();
        Ok((Self { s3, info, tries }, answer.body, expected))
    }

    /// A range of the object: from `content`, which may extend beyond it, and, if that breaks off, from further
    /// requests.
    pub(super) fn pieces(self, content: Option<ByteStream>, range: Range<u64>) -> Pieces {
        Pieces {
            cut: content.is_some() && range.end < self.info.size,
            tries: match content {
                Some(_) => self.tries,
                None => Tries::begin(),
            },
            version: self,
            content,
            range,
            delays: RETRIES.delays(),
        }
    }

    /// All of it, in memory.
    async fn whole(self, content: ByteStream) -> Result<Bytes, StorageError> {
        let all = 0..self.info.size;
        let mut bytes =
            Vec::with_capacity(usize::try_from(all.end).unwrap_or_default().min(BUFFER));
        let mut pieces = self.pieces(Some(content), all);
        while let Some(piece) = pieces.next().await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.into())
    }

    /// Writes a small object to the file `to`.
    async fn commit_small(
        self,
        bytes: Bytes,
        expected: Expected,
        to: Destination,
        progress: &TransferProgress,
    ) -> Result<ObjectInfo, StorageError> {
        let size = self.info.size;
        let committed = self.s3.files.run(move || {
            let verification = Verification::new(expected, size, Some(size));
            if let Some(mut digest) = verification.digest() {
                digest.update(&bytes);
                verification.add(0..size, &digest);
            }
            let file = AtomicFile::at(to)?;
            let refused = |error| StorageError::local("write", file.target())(error);
            if !verification.is_right(|| Ok(&bytes[..])).map_err(refused)? {
                return Ok(false);
            }
            file.file().write_all_at(&bytes, 0).map_err(refused)?;
            file.commit()?;
            Ok(true)
        });
        if !committed.await? {
            return Err(self.corrupted());
        }
        progress.moved(size);
        Ok(self.info)
    }

    /// Whether, according to the server, one of its parts has another size than `part`, which is assumed for all but
    /// the last one.
    pub(super) async fn has_parts_of_another_size(&self, part: u64) -> bool {
        let mut number = 1;
        let mut start = 0;
        while start < self.info.size {
            match self.part(number).await {
                Some(size) if size == part.min(self.info.size - start) => {}
                Some(_) => return true,
                None => return false,
            }
            number += 1;
            start += part;
        }
        false
    }

    /// The size of one of its parts; `None` if the server does not say.
    pub(super) async fn part(&self, number: i32) -> Option<u64> {
        let uri = &self.info.uri;
        let head = self
            .s3
            .client()
            .await
            .head_object()
            .bucket(uri.bucket())
            .key(uri.key())
            .part_number(number)
            .set_if_match(self.info.etag.clone())
            .send();
        match self.s3.ask(Action::Inspect, uri, head).await {
            Ok(answer) => Some(size(answer.content_length)),
            Err(error) => {
                tracing::debug!(error = %Chain(&error), number, "part not known");
                None
            }
        }
    }

    async fn get(&self, range: &Range<u64>, tries: &mut Tries) -> Result<ByteStream, StorageError> {
        let etag = self.info.etag.as_deref();
        let wanted = format!("bytes={}-{}", range.start, range.end - 1);
        let answer = get(&self.s3, &self.info.uri, Some(wanted), etag, tries).await?;
        let begins = format!("bytes {}-", range.start);
        match answer.content_range {
            Some(given) if given.starts_with(&begins) => Ok(answer.body),
            given => Err(self.broken(tries, format!("asked for {range:?}, got {given:?}"))),
        }
    }

    pub(super) fn corrupted(&self) -> StorageError {
        let problem = "its checksum does not match what arrived".to_owned();
        self.broken(&self.tries, problem)
    }

    fn broken(&self, tries: &Tries, problem: String) -> StorageError {
        StorageError::Broken {
            action: Action::Read,
            uri: self.info.uri.clone(),
            problem,
            tried: Some(tries.summary().into()),
        }
    }
}

/// A range of an object as it arrives. Where the content breaks off, the rest is requested again.
pub(super) struct Pieces {
    version: Version,
    content: Option<ByteStream>,
    /// The rest that is still to arrive.
    range: Range<u64>,
    /// Whether `content` extends beyond the range.
    cut: bool,
    tries: Tries,
    delays: Delays,
}

impl Pieces {
    /// Lets the content break off again as often as at first.
    pub(super) fn renew_tries(&mut self) {
        self.delays = RETRIES.delays();
    }

    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        loop {
            if self.cut && self.range.is_empty() {
                return Ok(None);
            }
            let content = match &mut self.content {
                Some(content) => content,
                None => {
                    self.cut = false;
                    let content = self.version.get(&self.range, &mut self.tries).await?;
                    self.content.insert(content)
                }
            };
            let limit = self.version.s3.stall_timeout;
            let problem = match timeout(limit, content.try_next()).await {
                Ok(Ok(Some(mut piece))) => {
                    let left = self.range.end - self.range.start;
                    piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
                    self.range.start += piece.len() as u64;
                    return Ok(Some(piece));
                }
                Ok(Ok(None)) if self.range.is_empty() => return Ok(None),
                Ok(Ok(None)) => "its content ended early".to_owned(),
                Ok(Err(error)) => format!("its content broke off: {}", Chain(&error)),
                Err(_) => format!("nothing of its content came for {limit:?}"),
            };
            // Once every byte is here, there is nothing left to request again.
            let (false, Some(delay)) = (self.range.is_empty(), self.delays.next()) else {
                return Err(self.version.broken(&self.tries, problem));
            };
            tracing::debug!(uri = %self.version.info.uri, at = self.range.start, problem, "content broke off");
            self.content = None;
            tokio::time::sleep(delay).await;
        }
    }
}

async fn get(
    s3: &S3,
    uri: &StorageUri,
    range: Option<String>,
    etag: Option<&str>,
    tries: &mut Tries,
) -> Result<GetObjectOutput, StorageError> {
    let client = s3.client().await;
    // The builders of the SDK have no trait in common.
    macro_rules! get {
        ($get:expr) => {
            $get.bucket(uri.bucket())
                .key(uri.key())
                .set_range(range.clone())
                .set_if_match(etag.map(str::to_owned))
                .checksum_mode(ChecksumMode::Enabled)
        };
    }
    let get = s3.gets.send(
        uri.bucket(),
        None,
        || get!(GetObjectInput::builder()).build(),
        |learn| {
            get!(client.get_object())
                .customize()
                .interceptor(learn)
                .send()
        },
    );
    let answer = tries.count(s3.retries.as_deref(), uri, Box::pin(get)).await;
    answer.map_err(|error| s3.failed(Action::Read, uri, tries, error))
}
