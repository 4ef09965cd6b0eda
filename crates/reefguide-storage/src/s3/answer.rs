//! Detects answers that are not S3's, before the SDK reads them.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::SdkBody;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use reefguide_transport::s3_answer::{Asked, ForeignAnswer, Head, Judgement, READ};

/// The longest listing that is read, in bytes: 1,000 keys of 1 KiB, with their attributes.
const LONGEST: usize = 16 << 20;

/// An error unless `answer` is S3's. If the headers do not decide that, it reads the body and puts it back.
pub(super) async fn check(asked: Asked, answer: &mut HttpResponse) -> Result<(), ForeignAnswer> {
    let head = Head::of(answer.status().as_u16(), answer.headers().iter_bytes());
    let judgement = asked.judge(&head);
    if judgement == Judgement::OfS3 {
        return Ok(());
    }
    let unclear = judgement == Judgement::Unclear;
    let most = if unclear && head.is_success() {
        LONGEST
    } else {
        READ
    };
    let (body, ended) = read(answer.take_body(), most).await;
    if let (Err(error), true) = (ended, unclear) {
        // Reading the body then fails with this error.
        let broken = stream::iter([Err::<Frame<Bytes>, _>(error)]);
        *answer.body_mut() = SdkBody::from_body_1_x(StreamBody::new(broken));
        return Ok(());
    }
    asked.conclude(judgement, &head, &body)?;
    *answer.body_mut() = SdkBody::from(body);
    Ok(())
}

/// Reads a body until it ends, breaks off, or exceeds `most` bytes.
async fn read(mut body: SdkBody, most: usize) -> (Bytes, Result<(), BoxError>) {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => read.extend_from_slice(&data),
            // Trailers.
            Ok(Err(_)) => {}
            Err(error) => return (read.freeze(), Err(error)),
        }
        if read.len() > most {
            break;
        }
    }
    (read.freeze(), Ok(()))
}
