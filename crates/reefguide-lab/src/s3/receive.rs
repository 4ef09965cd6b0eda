//! Receives the bytes of an object or a part, and accepts them only if every digest that was sent is right.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::{Stream, stream};
use http::HeaderMap;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::StreamingBlob;
use s3s::{S3Error, S3ErrorCode, S3Result, StdError, TrailingHeaders, s3_error};

use super::blob::{Blobs, Segment, WriteError};
use super::checksum::{Algorithm, Checksum};
use super::error::ObjectStoreError;

/// A body, and what its headers say about it.
pub(super) struct IncomingBody {
    pub(super) body: Option<StreamingBlob>,
    /// In bytes.
    pub(super) length: Option<i64>,
    /// Base64.
    pub(super) md5: Option<String>,
    /// The checksums in headers. The protocol allows one.
    pub(super) checksums: Vec<(Algorithm, String)>,
    /// The algorithm to use if no checksum is sent.
    pub(super) algorithm: Option<Algorithm>,
    /// The name of the trailer that should follow the body.
    pub(super) announced_trailer: Option<String>,
    pub(super) trailers: Option<TrailingHeaders>,
}

/// Bytes on disk with the right digests.
pub(super) struct ReceivedBody {
    pub(super) segment: Segment,
    pub(super) md5: [u8; 16],
    pub(super) checksum: Option<Checksum>,
}

impl IncomingBody {
    /// The name of the trailer that the request announces, if any.
    pub(super) fn announced(headers: &HeaderMap) -> Option<String> {
        let name = headers.get("x-amz-trailer")?.to_str().ok()?;
        Some(name.trim().to_owned())
    }

    /// Writes the body to a new blob and verifies it.
    pub(super) async fn receive(self, blobs: &Arc<Blobs>) -> S3Result<ReceivedBody> {
        let md5 = self.md5.as_deref().map(decode_md5).transpose()?;
        let mut checksums = self.checksums.into_iter();
        let in_header = checksums.next();
        if checksums.next().is_some() {
            return Err(s3_error!(InvalidRequest, "more than one checksum was sent"));
        }
        let in_trailer = self
            .announced_trailer
            .and_then(|name| Algorithm::from_header(&name));
        let algorithm = in_header
            .as_ref()
            .map(|(algorithm, _)| *algorithm)
            .or(in_trailer)
            .or(self.algorithm);
        let received = match self.body {
            Some(body) => write(blobs, body, algorithm).await,
            None => write(blobs, stream::empty::<Result<_, StdError>>(), algorithm).await,
        }
        .map_err(|error| match error {
            WriteError::Bytes(error) => incomplete(error),
            WriteError::File(error) => ObjectStoreError::Bytes(error).into(),
        })?;

        if let Some(length) = self.length
            && length.cast_unsigned() != received.segment.size
        {
            return Err(s3_error!(
                IncompleteBody,
                "the body's length differs from its Content-Length"
            ));
        }
        if md5.is_some_and(|md5| md5 != received.md5) {
            return Err(ObjectStoreError::BadDigest("content-md5").into());
        }
        let mut expected = in_header;
        if let Some(algorithm) = in_trailer {
            let value = self
                .trailers
                .and_then(|trailers| {
                    trailers.read(|trailers| {
                        Some(trailers.get(algorithm.header())?.to_str().ok()?.to_owned())
                    })
                })
                .flatten()
                .ok_or_else(|| s3_error!(IncompleteBody, "the announced trailer is missing"))?;
            expected = Some((algorithm, value));
        }
        if let Some((algorithm, value)) = expected
            && received
                .checksum
                .as_ref()
                .is_none_or(|sum| sum.value != value)
        {
            return Err(ObjectStoreError::BadDigest(algorithm.header()).into());
        }
        Ok(received)
    }
}

/// Writes `bytes` to a new blob and computes its digests.
pub(super) async fn write<E>(
    blobs: &Arc<Blobs>,
    bytes: impl Stream<Item = Result<Bytes, E>> + Unpin,
    algorithm: Option<Algorithm>,
) -> Result<ReceivedBody, WriteError<E>> {
    let mut md5 = Md5::new();
    let mut hasher = algorithm.map(Algorithm::hasher);
    let segment = blobs
        .write(bytes, |chunk| {
            md5.update(chunk);
            if let Some(hasher) = &mut hasher {
                hasher.update(chunk);
            }
        })
        .await?;
    Ok(ReceivedBody {
        segment,
        md5: md5.finalize(),
        checksum: hasher.map(super::checksum::Hasher::finish),
    })
}

fn decode_md5(value: &str) -> S3Result<[u8; 16]> {
    BASE64_STANDARD
        .decode(value)
        .ok()
        .and_then(|md5| md5.try_into().ok())
        .ok_or_else(|| s3_error!(InvalidDigest, "Content-MD5 is not the base64 of 16 bytes"))
}

/// The error for a body that ended early. `s3s` reports wrong signatures of a body with private error types, which only
/// their text distinguishes.
fn incomplete(error: StdError) -> S3Error {
    let text = error.to_string();
    let code = if text.ends_with("Sha256Mismatch") {
        S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into())
    } else if text.ends_with("SignatureMismatch") {
        S3ErrorCode::SignatureDoesNotMatch
    } else {
        S3ErrorCode::IncompleteBody
    };
    let mut refused = S3Error::with_source(code, error);
    refused.set_message("the body ended early or differs from what was signed");
    refused.set_status_code(http::StatusCode::BAD_REQUEST);
    refused
}
