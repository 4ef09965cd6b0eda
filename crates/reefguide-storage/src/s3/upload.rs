//! Uploading an object, in one request or in parts.

use std::error::Error;
use std::ops::Range;
use std::time::{Duration, Instant};

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::put_object::PutObjectInput;
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tracing::Instrument;

use super::body::{HELD, UploadBody};
use super::concurrency::Permit;
use super::direct::Learn;
use super::error::find;
use super::tries::Tries;
use super::{S3, class};
use crate::content::{Content, ContentSource};
use crate::metadata::Metadata;
use crate::transfer::on_task;
use crate::{Action, ObjectInfo, StorageError, StorageUri, TransferProgress};
use reefguide_transport::Chain;
use reefguide_transport::blocking::blocking;
use reefguide_transport::blocking::finished;
use reefguide_transport::s3_answer::ForeignAnswer;

/// The largest object that is uploaded in one request, in bytes.
const WHOLE: u64 = 16 << 20;
/// The largest object that takes about as long to upload as a request without content, in bytes.
const SMALL: u64 = 128 << 10;
/// The size of a part in bytes, unless that makes too many parts.
const PART: u64 = 8 << 20;
/// The maximum number of an object's parts.
const MOST_PARTS: u64 = 10_000;
/// The largest object, in bytes.
const LARGEST: u64 = 5 << 40;
/// How many parts of one object are uploaded at once.
const PARTS_AT_ONCE: usize = 8;
/// How long aborting a failed upload may take.
const ABORT_LIMIT: Duration = Duration::from_secs(10);

/// Stores `content`. The checksum is sent before it, in a header, which every server accepts.
pub(super) async fn put(
    s3: &S3,
    to: &StorageUri,
    content: ContentSource,
    metadata: &Metadata,
    progress: &TransferProgress,
) -> Result<ObjectInfo, StorageError> {
    let mut permit = s3.concurrency.request(0).await;
    let to_s3 = s3.clone();
    let opened = s3.files.run(move || {
        let content = content.open()?;
        let size = content.size();
        // For a small file, reading it here saves a second task on the file system.
        let body = if size <= HELD && permit.try_grow(size) {
            let body = UploadBody::new(&to_s3, &content, 0..size)?;
            content.unchanged()?;
            Some(body)
        } else {
            None
        };
        Ok((content, body, permit))
    });
    let (content, body, mut permit) = opened.await?;
    let size = content.size();
    progress.found(size);
    if let Some(body) = body {
        return whole(s3, to, size, body, permit, metadata, progress).await;
    }
    let stored = if size <= WHOLE {
        permit.grow(size.min(HELD)).await;
        let (to_s3, content) = (s3.clone(), content.clone());
        let body = blocking(move || UploadBody::new(&to_s3, &content, 0..size)).await?;
        whole(s3, to, size, body, permit, metadata, progress).await
    } else if size <= LARGEST {
        drop(permit);
        in_parts(s3, to, &content, metadata, progress).await
    } else {
        return Err(StorageError::TooLarge {
            uri: to.clone(),
            size,
        });
    };
    // If the file was changed, that explains a checksum that does not match.
    blocking(move || content.unchanged()).await?;
    stored
}

async fn whole(
    s3: &S3,
    to: &StorageUri,
    size: u64,
    body: UploadBody,
    permit: Permit,
    metadata: &Metadata,
    progress: &TransferProgress,
) -> Result<ObjectInfo, StorageError> {
    let signing = &body.signing;
    let client = s3.client().await;
    // The builders of the SDK have no trait in common.
    macro_rules! put {
        ($put:expr) => {
            $put.bucket(to.bucket())
                .key(to.key())
                .content_type(content_type(to))
                .set_metadata(Some(metadata.pairs().cloned().collect()))
                .set_server_side_encryption(s3.encryption())
                .set_ssekms_key_id(s3.kms_key())
                .set_storage_class(class(metadata.class))
                .checksum_crc32(&body.crc32)
                .set_body(body.stream())
        };
    }
    let by_sdk = |learn| {
        put!(client.put_object())
            .customize()
            .interceptor(signing.clone())
            .interceptor(learn)
            .send()
    };
    let sent = Instant::now();
    let stored = if body.is_streamed() {
        // The SDK detects when content that is read while it is sent stalls.
        s3.ask(Action::Store, to, by_sdk(Learn::default())).await?
    } else {
        let input = || put!(PutObjectInput::builder()).build();
        let put = s3.puts.send(to.bucket(), Some(signing), input, by_sdk);
        s3.ask(Action::Store, to, put).await?
    };
    if size <= SMALL {
        permit.answered(sent.elapsed());
    }
    progress.moved(size);
    Ok(ObjectInfo {
        uri: to.clone(),
        size,
        etag: stored.e_tag,
    })
}

async fn in_parts(
    s3: &S3,
    to: &StorageUri,
    content: &Content,
    metadata: &Metadata,
    progress: &TransferProgress,
) -> Result<ObjectInfo, StorageError> {
    let begin = Upload::begin(s3.clone(), to.clone(), metadata.clone());
    // On its own task: if this future is dropped before the answer, the task still receives the `Upload`, whose drop
    // aborts it.
    let mut upload = finished(tokio::spawn(begin.in_current_span())).await?;
    let stored = upload.send(content, progress).await;
    match stored {
        Ok(_) => upload.open = false,
        Err(_) => upload.abort().await,
    }
    stored
}

/// An open multipart upload. Aborted unless it is completed, since its parts cost money and are invisible.
struct Upload {
    s3: S3,
    to: StorageUri,
    id: String,
    open: bool,
}

impl Upload {
    async fn begin(s3: S3, to: StorageUri, metadata: Metadata) -> Result<Self, StorageError> {
        let permit = s3.concurrency.request(0).await;
        let mut create = s3.client().await.create_multipart_upload();
        for (name, value) in metadata.pairs() {
            create = create.metadata(name, value);
        }
        let create = create
            .bucket(to.bucket())
            .key(to.key())
            .content_type(content_type(&to))
            .set_server_side_encryption(s3.encryption())
            .set_ssekms_key_id(s3.kms_key())
            .set_storage_class(class(metadata.class))
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .send();
        let begun = s3.ask(Action::Store, &to, create).await?;
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
        content: &Content,
        progress: &TransferProgress,
    ) -> Result<ObjectInfo, StorageError> {
        let whole = content.size();
        let mut parts: Vec<_> = stream::iter((1..).zip(parts(whole)))
            .map(|(number, range)| {
                let part = Part {
                    s3: self.s3.clone(),
                    to: self.to.clone(),
                    upload: self.id.clone(),
                    number,
                    content: content.clone(),
                    range,
                    progress: progress.clone(),
                };
                on_task(part.send())
            })
            .buffer_unordered(PARTS_AT_ONCE)
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
        let _permit = s3.concurrency.request(0).await;
        let complete = s3
            .client()
            .await
            .complete_multipart_upload()
            .bucket(to.bucket())
            .key(to.key())
            .upload_id(id)
            .multipart_upload(
                CompletedMultipartUpload::builder()
                    .set_parts(Some(parts))
                    .build(),
            )
            .send();
        let mut tries = Tries::begin();
        let etag = match tries
            .count(s3.retries.as_deref(), to, Box::pin(complete))
            .await
        {
            Ok(completed) => completed.e_tag,
            Err(error) if may_be_done(&error) => match s3.head(to).await {
                Ok(stored) if stored.size == whole && parts_of(&stored) == Some(count) => {
                    stored.etag
                }
                _ => return Err(s3.failed(Action::Store, to, &tries, error)),
            },
            Err(error) => return Err(s3.failed(Action::Store, to, &tries, error)),
        };
        Ok(ObjectInfo {
            uri: to.clone(),
            size: whole,
            etag,
        })
    }

    async fn abort(&mut self) {
        self.open = false;
        // If there is no answer, that is left to the server's lifecycle rules.
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
            let aborting = abort(self.s3.clone(), self.to.clone(), self.id.clone());
            runtime.spawn(aborting.in_current_span());
        }
    }
}

async fn abort(s3: S3, to: StorageUri, upload: String) {
    let abort = s3
        .client()
        .await
        .abort_multipart_upload()
        .bucket(to.bucket())
        .key(to.key())
        .upload_id(upload)
        .send();
    if let Err(error) = s3.ask(Action::Store, &to, abort).await {
        tracing::warn!(uri = %to, error = %Chain(&error), "multipart upload not aborted");
    }
}

/// The parts of an object of `whole` bytes.
fn parts(whole: u64) -> impl Iterator<Item = Range<u64>> {
    let size = PART.max(whole.div_ceil(MOST_PARTS));
    let starts = (0..whole).step_by(usize::try_from(size).unwrap_or(usize::MAX));
    starts.map(move |start| start..whole.min(start + size))
}

/// A part that is uploaded.
struct Part {
    s3: S3,
    to: StorageUri,
    upload: String,
    number: i32,
    content: Content,
    range: Range<u64>,
    progress: TransferProgress,
}

impl Part {
    async fn send(self) -> Result<CompletedPart, StorageError> {
        let Self {
            s3,
            to,
            upload,
            number,
            content,
            range,
            progress,
        } = self;
        let length = range.end - range.start;
        let permit = s3.concurrency.request(length).await;
        let to_s3 = s3.clone();
        let body = blocking(move || UploadBody::new(&to_s3, &content, range)).await?;
        let (crc32, signing) = (body.crc32.clone(), body.signing.clone());
        let part = s3
            .client()
            .await
            .upload_part()
            .bucket(to.bucket())
            .key(to.key())
            .upload_id(upload)
            .part_number(number)
            .checksum_crc32(&crc32)
            .set_body(body.stream())
            .customize()
            .interceptor(signing)
            .send();
        let stored = s3.ask(Action::Store, &to, part).await?;
        drop(permit);
        progress.moved(length);
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(stored.e_tag)
            .set_checksum_crc32(stored.checksum_crc32)
            .build())
    }
}

/// Whether a request to complete an upload may have succeeded despite this error.
fn may_be_done<E>(error: &SdkError<E>) -> bool
where
    E: ProvideErrorMetadata + Error + 'static,
{
    // A proxy's page may have replaced the answer.
    if find::<ForeignAnswer>(error).is_some() {
        return true;
    }
    match (error.code(), error.raw_response()) {
        // After a lost answer, the retry finds no upload.
        (Some(code), _) => code == "NoSuchUpload",
        // Some servers word this answer differently from S3.
        (None, Some(answer)) => answer.status().is_success(),
        (None, None) => false,
    }
}

/// The number of parts of an object, which is at the end of its ETag.
fn parts_of(object: &ObjectInfo) -> Option<usize> {
    let etag = object.etag.as_deref()?.trim_matches('"');
    etag.rsplit_once('-')?.1.parse().ok()
}

fn content_type(uri: &StorageUri) -> String {
    mime_guess::from_path(uri.key())
        .first_or_octet_stream()
        .to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// S3's limit; only the last part may be smaller.
    const SMALLEST_PART: u64 = 5 << 20;
    const LARGEST_PART: u64 = 5 << 30;

    fn sizes() -> impl Strategy<Value = u64> {
        let most_of_the_usual_size = PART * MOST_PARTS;
        prop_oneof![
            WHOLE + 1..=LARGEST,
            WHOLE + 1..WHOLE + 2 * PART,
            most_of_the_usual_size - 10..most_of_the_usual_size + 10 * MOST_PARTS,
            LARGEST - 10..=LARGEST,
        ]
    }

    proptest! {
        #[test]
        fn an_object_of_any_size_has_parts_that_s3_accepts(whole in sizes()) {
            let parts: Vec<_> = parts(whole).collect();
            prop_assert!(parts.len() as u64 <= MOST_PARTS, "{} parts", parts.len());
            let mut at = 0;
            for part in &parts {
                prop_assert_eq!(part.start, at);
                let length = part.end - part.start;
                let smallest = if part.end == whole { 1 } else { SMALLEST_PART };
                prop_assert!((smallest..=LARGEST_PART).contains(&length), "{} bytes", length);
                at = part.end;
            }
            prop_assert_eq!(at, whole);
        }
    }
}
