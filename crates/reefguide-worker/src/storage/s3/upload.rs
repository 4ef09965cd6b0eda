//! Storing an object: in one request, or in parts.

use std::time::Duration;

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use bytes::Bytes;
use futures_util::{TryFutureExt, TryStreamExt, stream};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::S3;
use super::limits::Permit;
use crate::storage::content::Content;
use crate::storage::metadata::Metadata;
use crate::storage::transfer::{finished, on_task};
use crate::storage::{Action, ObjectInfo, StorageError, StorageUri, TransferProgress};

/// The largest object that is sent in one request, in bytes.
const WHOLE: u64 = 16 << 20;
/// The size of a part, in bytes, unless that makes too many parts.
const PART: u64 = 8 << 20;
/// How many parts an object may have.
const MOST_PARTS: u64 = 10_000;
/// The largest object, in bytes.
const LARGEST: u64 = 5 << 40;
/// How many parts of one object are under way at once.
const PARTS_AT_ONCE: usize = 4;
/// How long a failed upload may take to be aborted.
const ABORT_LIMIT: Duration = Duration::from_secs(10);

/// Stores `content`. Bodies are sent from memory: so their checksum goes ahead of them as a header,
/// which every server takes, and a try can be repeated.
pub(super) async fn put(
    s3: &S3,
    to: &StorageUri,
    content: Content,
    metadata: &Metadata,
    progress: &TransferProgress,
) -> Result<ObjectInfo, StorageError> {
    match content.size() {
        size if size <= WHOLE => whole(s3, to, content, metadata, progress).await,
        size if size <= LARGEST => in_parts(s3, to, content, metadata, progress).await,
        size => Err(StorageError::TooLarge {
            uri: to.clone(),
            size,
        }),
    }
}

async fn whole(
    s3: &S3,
    to: &StorageUri,
    mut content: Content,
    metadata: &Metadata,
    progress: &TransferProgress,
) -> Result<ObjectInfo, StorageError> {
    let _permit = s3.limits.request(content.size()).await;
    let body = content.next(WHOLE).await?;
    let mut put = s3.client.put_object();
    for (name, value) in metadata.pairs() {
        put = put.metadata(name, value);
    }
    let stored = put
        .bucket(to.bucket())
        .key(to.key())
        .content_type(content_type(to))
        .body(ByteStream::from(body))
        .send()
        .await
        .map_err(|error| s3.failed(Action::Store, to, error))?;
    progress.moved(content.size());
    Ok(ObjectInfo {
        uri: to.clone(),
        size: content.size(),
        etag: stored.e_tag,
    })
}

async fn in_parts(
    s3: &S3,
    to: &StorageUri,
    content: Content,
    metadata: &Metadata,
    progress: &TransferProgress,
) -> Result<ObjectInfo, StorageError> {
    let begin = Upload::begin(s3.clone(), to.clone(), metadata.clone());
    // On a task that outlives us: if we are dropped before the answer, the upload it begins is
    // dropped there, and so aborted.
    let mut upload = finished(tokio::spawn(begin)).await?;
    let stored = upload.send(content, progress).await;
    match stored {
        Ok(_) => upload.open = false,
        Err(_) => upload.abort().await,
    }
    stored
}

/// A multipart upload that the server holds open; aborted unless it is completed, for its parts
/// cost money and nobody sees them.
struct Upload {
    s3: S3,
    to: StorageUri,
    id: String,
    open: bool,
}

impl Upload {
    async fn begin(s3: S3, to: StorageUri, metadata: Metadata) -> Result<Self, StorageError> {
        let permit = s3.limits.request(0).await;
        let mut create = s3.client.create_multipart_upload();
        for (name, value) in metadata.pairs() {
            create = create.metadata(name, value);
        }
        let begun = create
            .bucket(to.bucket())
            .key(to.key())
            .content_type(content_type(&to))
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .send()
            .await
            .map_err(|error| s3.failed(Action::Store, &to, error))?;
        drop(permit);
        Ok(Self {
            s3,
            to,
            id: begun.upload_id.unwrap_or_default(),
            open: true,
        })
    }

    async fn send(
        &self,
        content: Content,
        progress: &TransferProgress,
    ) -> Result<ObjectInfo, StorageError> {
        let whole = content.size();
        let parts = Parts {
            s3: self.s3.clone(),
            to: self.to.clone(),
            upload: self.id.clone(),
            part_size: PART.max(whole.div_ceil(MOST_PARTS)),
            number: 0,
            content,
        };
        let mut parts: Vec<_> = stream::try_unfold(parts, Parts::next)
            .map_ok(|part| {
                let length = part.body.len() as u64;
                let sent = on_task(part.send());
                sent.inspect_ok(move |_| progress.moved(length))
            })
            .try_buffer_unordered(PARTS_AT_ONCE)
            .try_collect()
            .await?;
        parts.sort_unstable_by_key(CompletedPart::part_number);
        self.complete(parts, whole).await
    }

    async fn complete(
        &self,
        parts: Vec<CompletedPart>,
        whole: u64,
    ) -> Result<ObjectInfo, StorageError> {
        let Self { s3, to, id, .. } = self;
        let count = parts.len();
        let _permit = s3.limits.request(0).await;
        let completed = s3
            .client
            .complete_multipart_upload()
            .bucket(to.bucket())
            .key(to.key())
            .upload_id(id)
            .multipart_upload(
                CompletedMultipartUpload::builder()
                    .set_parts(Some(parts))
                    .build(),
            )
            .send()
            .await;
        let etag = match completed {
            Ok(completed) => completed.e_tag,
            // After a lost answer the repeated request finds no upload, but the object.
            Err(error) if error.code() == Some("NoSuchUpload") => match s3.head(to).await {
                Ok(stored) if stored.size == whole && parts_of(&stored) == Some(count) => {
                    stored.etag
                }
                _ => return Err(s3.failed(Action::Store, to, error)),
            },
            Err(error) => return Err(s3.failed(Action::Store, to, error)),
        };
        Ok(ObjectInfo {
            uri: to.clone(),
            size: whole,
            etag,
        })
    }

    async fn abort(&mut self) {
        self.open = false;
        // Without an answer the server's own clean-up has to do.
        let _ = timeout(
            ABORT_LIMIT,
            abort(self.s3.clone(), self.to.clone(), self.id.clone()),
        )
        .await;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let (true, Ok(runtime)) = (self.open, Handle::try_current()) {
            runtime.spawn(abort(self.s3.clone(), self.to.clone(), self.id.clone()));
        }
    }
}

async fn abort(s3: S3, to: StorageUri, upload: String) {
    let aborted = s3
        .client
        .abort_multipart_upload()
        .bucket(to.bucket())
        .key(to.key())
        .upload_id(upload)
        .send()
        .await
        .map_err(|error| s3.failed(Action::Store, &to, error));
    if let Err(error) = aborted {
        tracing::warn!(object = %to, %error, "multipart upload not aborted");
    }
}

/// The parts of an upload, each read when there is room for it.
struct Parts {
    s3: S3,
    to: StorageUri,
    upload: String,
    part_size: u64,
    number: i32,
    content: Content,
}

impl Parts {
    async fn next(mut self) -> Result<Option<(Part, Self)>, StorageError> {
        let length = self.part_size.min(self.content.left());
        if length == 0 {
            return Ok(None);
        }
        let permit = self.s3.limits.request(length).await;
        self.number += 1;
        let part = Part {
            s3: self.s3.clone(),
            to: self.to.clone(),
            upload: self.upload.clone(),
            number: self.number,
            body: self.content.next(length).await?,
            permit,
        };
        Ok(Some((part, self)))
    }
}

/// A part on its way.
struct Part {
    s3: S3,
    to: StorageUri,
    upload: String,
    number: i32,
    body: Bytes,
    permit: Permit,
}

impl Part {
    async fn send(self) -> Result<CompletedPart, StorageError> {
        let Self {
            s3,
            to,
            upload,
            number,
            body,
            permit,
        } = self;
        let stored = s3
            .client
            .upload_part()
            .bucket(to.bucket())
            .key(to.key())
            .upload_id(upload)
            .part_number(number)
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .body(ByteStream::from(body))
            .send()
            .await
            .map_err(|error| s3.failed(Action::Store, &to, error))?;
        drop(permit);
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(stored.e_tag)
            .set_checksum_crc32(stored.checksum_crc32)
            .build())
    }
}

/// Of how many parts an object was put together, which its ETag ends with.
fn parts_of(object: &ObjectInfo) -> Option<usize> {
    let etag = object.etag.as_deref()?.trim_matches('"');
    etag.rsplit_once('-')?.1.parse().ok()
}

fn content_type(uri: &StorageUri) -> String {
    mime_guess::from_path(uri.key())
        .first_or_octet_stream()
        .to_string()
}
