//! Verifies downloaded content against the server's checksums.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crc_fast::{CrcAlgorithm, Digest, checksum_combine};
use md5::{Digest as _, Md5};

use crate::hex::hex;

/// The number of bytes that are read at a time.
const PIECE: usize = 256 << 10;

/// The checksum that an object's content should have.
#[derive(Debug)]
pub enum Expected {
    /// The checksum of all content, which can be combined from those of its pieces.
    Whole(CrcAlgorithm, u64),
    /// A checksum of the checksums of the parts, and the number of parts.
    Parts(CrcAlgorithm, u64, u64),
    /// The MD5 of all content: often the ETag of an object that was stored in one request.
    Md5(String),
    /// None is known.
    Nothing,
}

/// The headers about content in an S3 server's answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct ContentHeaders<'a> {
    /// `ETag`, with its quotes or without.
    pub etag: Option<&'a str>,
    /// `x-amz-checksum-crc64nvme`.
    pub crc64_nvme: Option<&'a str>,
    /// `x-amz-checksum-crc32`.
    pub crc32: Option<&'a str>,
    /// `x-amz-checksum-crc32c`.
    pub crc32_c: Option<&'a str>,
    /// `x-amz-checksum-type`.
    pub checksum_type: Option<&'a str>,
    /// `x-amz-server-side-encryption`.
    pub encryption: Option<&'a str>,
    /// `x-amz-server-side-encryption-customer-algorithm`.
    pub customer_algorithm: Option<&'a str>,
}

impl Expected {
    /// The checksum in these headers.
    pub fn of(headers: &ContentHeaders<'_>) -> Self {
        let checksums = [
            (CrcAlgorithm::Crc64Nvme, headers.crc64_nvme),
            (CrcAlgorithm::Crc32IsoHdlc, headers.crc32),
            (CrcAlgorithm::Crc32Iscsi, headers.crc32_c),
        ];
        for (algorithm, checksum) in checksums {
            let Some(checksum) = checksum else { continue };
            // `-` and the number of parts follow a checksum of checksums.
            let (sum, parts) = match checksum.split_once('-') {
                Some((sum, parts)) => (sum, parts.parse().ok()),
                None => (checksum, None),
            };
            return match (number(sum), parts) {
                (Some(sum), Some(parts)) => Self::Parts(algorithm, sum, parts),
                (Some(sum), None) if headers.checksum_type != Some("COMPOSITE") => {
                    Self::Whole(algorithm, sum)
                }
                _ => Self::Nothing,
            };
        }
        // The ETag of an object that is encrypted with a KMS key or a customer's key is not its MD5.
        let plain = !matches!(headers.encryption, Some("aws:kms" | "aws:kms:dsse"))
            && headers.customer_algorithm.is_none();
        match headers.etag.map(|etag| etag.trim_matches('"')) {
            Some(md5) if plain && is_md5(md5) => Self::Md5(md5.to_ascii_lowercase()),
            _ => Self::Nothing,
        }
    }
}

fn number(base64: &str) -> Option<u64> {
    let bytes = STANDARD.decode(base64).ok()?;
    let add = |sum: u64, byte: &u8| (sum << 8) | u64::from(*byte);
    (bytes.len() <= 8).then(|| bytes.iter().fold(0, add))
}

fn is_md5(etag: &str) -> bool {
    etag.len() == 32 && etag.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Verifies an object whose pieces arrive in any order.
#[derive(Debug)]
pub struct Verification {
    expected: Expected,
    part: u64,
    pieces: Mutex<Vec<(Range<u64>, u64)>>,
}

impl Verification {
    /// For an object of `size` bytes. `part` is the size of its parts, if that is known.
    pub fn new(expected: Expected, size: u64, part: Option<u64>) -> Self {
        let (expected, part) = match (expected, part) {
            (Expected::Parts(algorithm, sum, parts), Some(part))
                if part > 0 && size.div_ceil(part) == parts =>
            {
                (Expected::Parts(algorithm, sum, parts), part)
            }
            (Expected::Parts(..), _) => (Expected::Nothing, size),
            (expected, _) => (expected, size),
        };
        Self {
            expected,
            part,
            pieces: Mutex::default(),
        }
    }

    /// The end of the part that contains `start`: a piece must not extend beyond it.
    pub fn end(&self, start: u64) -> u64 {
        (start / self.part.max(1) + 1).saturating_mul(self.part.max(1))
    }

    /// A digest for one piece; `None` if pieces need none.
    pub fn digest(&self) -> Option<Digest> {
        self.algorithm().map(Digest::new)
    }

    fn algorithm(&self) -> Option<CrcAlgorithm> {
        match self.expected {
            Expected::Whole(algorithm, _) | Expected::Parts(algorithm, ..) => Some(algorithm),
            Expected::Md5(_) | Expected::Nothing => None,
        }
    }

    /// Adds a piece, with the digest of its content.
    pub fn add(&self, piece: Range<u64>, digest: &Digest) {
        self.pieces().push((piece, digest.finalize()));
    }

    fn pieces(&self) -> MutexGuard<'_, Vec<(Range<u64>, u64)>> {
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the content is right. Reads `content` only if the digests of the pieces do not tell.
    pub fn is_right<R: Read>(&self, content: impl FnOnce() -> io::Result<R>) -> io::Result<bool> {
        Ok(match &self.expected {
            Expected::Nothing => true,
            Expected::Md5(expected) => md5(content()?)? == *expected,
            Expected::Whole(algorithm, expected) => {
                self.sums(*algorithm).first().copied() == Some(*expected)
            }
            Expected::Parts(algorithm, expected, _) => {
                let width = match algorithm {
                    CrcAlgorithm::Crc64Nvme => 8,
                    _ => 4,
                };
                let mut all = Digest::new(*algorithm);
                for sum in self.sums(*algorithm) {
                    all.update(&sum.to_be_bytes()[8 - width..]);
                }
                all.finalize() == *expected
            }
        })
    }

    /// The checksum of each part, in their order; an empty object has one.
    fn sums(&self, algorithm: CrcAlgorithm) -> Vec<u64> {
        let mut pieces = self.pieces();
        pieces.sort_unstable_by_key(|(range, _)| range.start);
        let mut sums = vec![Digest::new(algorithm).finalize()];
        for (range, sum) in &*pieces {
            let length = range.end - range.start;
            match sums.last_mut() {
                Some(last) if range.start == 0 || range.start % self.part.max(1) != 0 => {
                    *last = checksum_combine(algorithm, *last, *sum, length);
                }
                _ => sums.push(*sum),
            }
        }
        sums
    }
}

/// Verifies content that arrives in order.
#[derive(Debug)]
pub struct InOrder {
    verification: Verification,
    /// The range of the current part that has arrived.
    part: Range<u64>,
    digest: Option<Digest>,
    md5: Option<Md5>,
}

impl InOrder {
    /// Before the first byte.
    pub fn new(verification: Verification) -> Self {
        let md5 = matches!(verification.expected, Expected::Md5(_));
        Self {
            digest: verification.digest(),
            md5: md5.then(Md5::new),
            verification,
            part: 0..0,
        }
    }

    /// How many bytes have arrived.
    pub fn size(&self) -> u64 {
        self.part.end
    }

    /// Adds the next bytes.
    pub fn add(&mut self, mut piece: &[u8]) {
        if let Some(md5) = &mut self.md5 {
            md5.update(piece);
        }
        while !piece.is_empty() {
            let end = self.verification.end(self.part.start);
            if self.part.end == end {
                self.end_part();
                continue;
            }
            let room = usize::try_from(end - self.part.end).unwrap_or(usize::MAX);
            let (of_part, rest) = piece.split_at(room.min(piece.len()));
            if let Some(digest) = &mut self.digest {
                digest.update(of_part);
            }
            self.part.end += of_part.len() as u64;
            piece = rest;
        }
    }

    fn end_part(&mut self) {
        if let Some(digest) = &self.digest {
            self.verification.add(self.part.clone(), digest);
        }
        self.digest = self.verification.digest();
        self.part.start = self.part.end;
    }

    /// Whether all content that has arrived is right.
    pub fn are_right(&mut self) -> bool {
        if !self.part.is_empty() {
            self.end_part();
        }
        let md5 = self.md5.take().map(|md5| hex(&md5.finalize()));
        match (&self.verification.expected, md5) {
            (Expected::Md5(expected), md5) => md5.as_ref() == Some(expected),
            // The others do not read the content.
            _ => matches!(self.verification.is_right(|| Ok(io::empty())), Ok(true)),
        }
    }
}

fn md5(mut content: impl Read) -> io::Result<String> {
    let mut md5 = Md5::new();
    let mut buffer = vec![0; PIECE];
    loop {
        match content.read(&mut buffer)? {
            0 => break,
            read => md5.update(&buffer[..read]),
        }
    }
    Ok(hex(&md5.finalize()))
}
