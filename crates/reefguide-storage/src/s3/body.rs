//! Bodies of uploads, with their checksums.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use aws_runtime::auth::PayloadSigningOverride;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use http_body::{Body, Frame, SizeHint};
use sha2::{Digest, Sha256};

use super::S3;
use super::buffers::Buffers;
use crate::StorageError;
use crate::content::{Content, OpenFile, Origin, PIECE};
use crate::pool::{Pool, PoolTask};
use reefguide_transport::hex::hex;

/// The largest range of a file that is held in memory as a whole, in bytes. That is fastest for small bodies; large
/// ones take less memory if they are read while they are sent.
pub(super) const HELD: u64 = 1 << 20;

/// A body that can be sent several times, with checksums that are computed once.
pub(super) struct UploadBody {
    body: SdkBody,
    /// Sent as a signed header.
    pub(super) crc32: String,
    pub(super) signing: Signing,
}

/// How a request's signature covers its body.
///
/// The SDK would hash the body for each try, on an async thread. Over TLS, the connection protects the
/// body, and the signed checksum header covers it.
#[derive(Clone, Debug)]
pub(super) struct Signing {
    /// The body's SHA-256, unless the connection is known to be encrypted.
    sha256: Option<String>,
}

impl Intercept for Signing {
    fn name(&self) -> &'static str {
        "Signing"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(payload) = self.payload(context.request().uri()) {
            config.interceptor_state().store_put(payload);
        }
        Ok(())
    }
}

impl Signing {
    /// How to sign the body for `url`; `None`: as the SDK does it.
    pub(super) fn payload(&self, url: &str) -> Option<PayloadSigningOverride> {
        match &self.sha256 {
            Some(sha256) => Some(PayloadSigningOverride::Precomputed(sha256.clone())),
            // The environment may set another endpoint than the one that was assumed.
            None => url
                .starts_with("https:")
                .then_some(PayloadSigningOverride::UnsignedPayload),
        }
    }
}

impl UploadBody {
    /// A range of `content`, to be sent to `s3`. Blocks.
    pub(super) fn new(s3: &S3, content: &Content, range: Range<u64>) -> Result<Self, StorageError> {
        let mut sums = Checksums::new(s3.encrypted);
        let bytes = match content.origin() {
            Origin::Memory(bytes) => bytes.slice(index(range.start)..index(range.end)),
            Origin::File(file) if range.end - range.start <= HELD => {
                let mut bytes = vec![0; length(&range)];
                file.read_at(range.start, &mut bytes)?;
                bytes.into()
            }
            Origin::File(file) => {
                sums.add_file(file, range.clone(), &s3.buffers)?;
                let streamed = Streamed {
                    file: Arc::clone(file),
                    unsent: range.end - range.start,
                    unread: range,
                    reading: None,
                    files: s3.files.clone(),
                    buffers: s3.buffers.clone(),
                };
                let body = SdkBody::retryable(move || SdkBody::from_body_1_x(streamed.again()));
                return Ok(sums.finish(body));
            }
        };
        sums.add(&bytes);
        Ok(sums.finish(bytes.into()))
    }

    /// The body, from its beginning each time.
    pub(super) fn stream(&self) -> Option<ByteStream> {
        self.body.try_clone().map(ByteStream::new)
    }

    /// Whether it is read from a file while it is sent.
    pub(super) fn is_streamed(&self) -> bool {
        self.body.bytes().is_none()
    }
}

fn length(range: &Range<u64>) -> usize {
    index(range.end - range.start)
}

/// An offset or a length in memory.
fn index(at: u64) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

struct Checksums {
    crc32: crc_fast::Digest,
    sha256: Option<Sha256>,
}

impl Checksums {
    fn new(encrypted: bool) -> Self {
        Self {
            crc32: crc_fast::Digest::new(CrcAlgorithm::Crc32IsoHdlc),
            sha256: (!encrypted).then(Sha256::new),
        }
    }

    fn add(&mut self, piece: &[u8]) {
        self.crc32.update(piece);
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(piece);
        }
    }

    fn add_file(
        &mut self,
        file: &OpenFile,
        mut range: Range<u64>,
        buffers: &Buffers,
    ) -> Result<(), StorageError> {
        let mut buffer = buffers.take();
        while !range.is_empty() {
            let piece = PIECE.min(length(&range));
            let bytes = &mut buffer.bytes()[..piece];
            file.read_at(range.start, bytes)?;
            self.add(bytes);
            range.start += piece as u64;
        }
        Ok(())
    }

    fn finish(self, body: SdkBody) -> UploadBody {
        // A CRC-32 is in the low half of the 64 bits.
        let crc32 = &self.crc32.finalize().to_be_bytes()[4..];
        let sha256 = self.sha256.map(|sha256| hex(&sha256.finalize()));
        UploadBody {
            body,
            crc32: STANDARD.encode(crc32),
            signing: Signing { sha256 },
        }
    }
}

/// A range of a file. While one piece is sent, the next one is read.
struct Streamed {
    file: Arc<OpenFile>,
    /// The range that is still to be read.
    unread: Range<u64>,
    /// The bytes that are still to be sent.
    unsent: u64,
    reading: Option<PoolTask<Bytes>>,
    files: Pool,
    buffers: Buffers,
}

impl Streamed {
    /// The same range, unread.
    fn again(&self) -> Self {
        Self {
            file: Arc::clone(&self.file),
            unread: self.unread.clone(),
            unsent: self.unsent,
            reading: None,
            files: self.files.clone(),
            buffers: self.buffers.clone(),
        }
    }

    fn read_ahead(&mut self) {
        if self.unread.is_empty() {
            return;
        }
        let (file, buffers) = (Arc::clone(&self.file), self.buffers.clone());
        let at = self.unread.start;
        let piece = PIECE.min(length(&self.unread));
        self.unread.start += piece as u64;
        self.reading = Some(self.files.run(move || {
            let mut buffer = buffers.take();
            file.read_at(at, &mut buffer.bytes()[..piece])?;
            Ok(buffer.freeze(piece))
        }));
    }
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.reading.is_none() {
            self.read_ahead();
        }
        let Some(reading) = &mut self.reading else {
            return Poll::Ready(None);
        };
        let piece = match ready!(Pin::new(reading).poll(context)) {
            Ok(piece) => piece,
            Err(error) => return Poll::Ready(Some(Err(error.into()))),
        };
        self.reading = None;
        self.unsent -= piece.len() as u64;
        self.read_ahead();
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.unsent == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.unsent)
    }
}
