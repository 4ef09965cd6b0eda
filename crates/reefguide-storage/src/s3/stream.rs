//! Reading an object in one request, at the reader's pace.

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::S3;
use super::download::{Pieces, Version};
use crate::reader::ContentStream;
use crate::{ObjectInfo, StorageError, StorageUri};
use reefguide_transport::checksum::{Expected, InOrder, Verification};

/// After this many bytes, the content may break off again as often as at first: servers hang up on slow readers, but
/// only after they have sent something.
const RENEW_TRIES_EVERY: u64 = 256 << 10;

/// Requests the object `from`.
///
/// The request counts towards the limit of concurrent requests; reading the content does not. Otherwise readers that
/// are slow, or wait for each other, would block all other requests.
pub(super) async fn open(
    s3: &S3,
    from: &StorageUri,
) -> Result<(ObjectInfo, ContentStream), StorageError> {
    let permit = s3.concurrency.request(0).await;
    let (version, content, expected) = Version::newest(s3, from).await?;
    let part = match expected {
        Expected::Parts(..) => version.part(1).await,
        _ => None,
    };
    drop(permit);
    let (info, size) = (version.info.clone(), version.info.size);
    let reading = Reading {
        arrived: InOrder::new(Verification::new(expected, size, part)),
        pieces: version.clone().pieces(Some(content), 0..size),
        version,
        part,
    };
    let pieces = stream::try_unfold(reading, |mut reading| async move {
        Ok(reading.next().await?.map(|piece| (piece, reading)))
    });
    Ok((info, pieces.boxed()))
}

struct Reading {
    version: Version,
    pieces: Pieces,
    arrived: InOrder,
    /// The size of its first part, if the checksum is one of parts.
    part: Option<u64>,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        let Some(piece) = self.pieces.next().await? else {
            return self.end().await;
        };
        let before = self.arrived.size() / RENEW_TRIES_EVERY;
        self.arrived.add(&piece);
        if self.arrived.size() / RENEW_TRIES_EVERY != before {
            self.pieces.renew_tries();
        }
        Ok(Some(piece))
    }

    async fn end(&mut self) -> Result<Option<Bytes>, StorageError> {
        // A checksum of parts proves nothing if their sizes are not the assumed ones.
        let right = self.arrived.are_right()
            || match self.part {
                Some(part) => self.version.has_parts_of_another_size(part).await,
                None => false,
            };
        match right {
            true => Ok(None),
            false => Err(self.version.corrupted()),
        }
    }
}
