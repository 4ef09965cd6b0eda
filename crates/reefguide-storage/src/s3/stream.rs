//! Reading an object in one request, at the pace of whoever reads it.

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::S3;
use super::download::{Pieces, Version};
use crate::reader::Arriving;
use crate::{ObjectInfo, StorageError, StorageUri};
use reefguide_transport::checksum::{Expected, InOrder, Verification};

/// After how many bytes the content may break off as often again: servers hang up on slow readers, but not
/// before they have sent something.
const MUCH: u64 = 256 << 10;

/// Asks for the object `from`.
///
/// Asking is a request like others, reading is none: readers that are slow, or wait for each other, would
/// take the room of all.
pub(super) async fn open(
    s3: &S3,
    from: &StorageUri,
) -> Result<(ObjectInfo, Arriving), StorageError> {
    let permit = s3.limits.request(0).await;
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
    /// The size of its first part, if it matters.
    part: Option<u64>,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        let Some(piece) = self.pieces.next().await? else {
            return self.end().await;
        };
        let before = self.arrived.size() / MUCH;
        self.arrived.add(&piece);
        if self.arrived.size() / MUCH != before {
            self.pieces.start_over();
        }
        Ok(Some(piece))
    }

    async fn end(&mut self) -> Result<Option<Bytes>, StorageError> {
        // A checksum of parts says nothing if they are not where they were taken to be.
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
