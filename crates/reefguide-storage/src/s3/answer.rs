//! Answers that are not S3's, told apart before the SDK reads them.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::BoxError;
use aws_sdk_s3::primitives::SdkBody;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use reefguide_transport::s3_answer::{Asked, Foreign, Head, Judgement, READ};

/// The longest listing that is read, in bytes: 1,000 keys of 1 KiB, and what else is said of each.
const LONGEST: usize = 16 << 20;

/// An error unless `answer` is S3's. Reads its body if that decides, and puts it back.
pub(super) async fn check(asked: Asked, answer: &mut HttpResponse) -> Result<(), Foreign> {
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
        // That it broke off is told by the one who reads it.
        let broken = stream::iter([Err::<Frame<Bytes>, _>(error)]);
        *answer.body_mut() = SdkBody::from_body_1_x(StreamBody::new(broken));
        return Ok(());
    }
    asked.conclude(judgement, &head, &body)?;
    *answer.body_mut() = SdkBody::from(body);
    Ok(())
}

/// A body, of which there is an error if it breaks off; no more of it than `most` bytes and a piece.
async fn read(mut body: SdkBody, most: usize) -> (Bytes, Result<(), BoxError>) {
    let mut read = BytesMut::new();
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => read.extend_from_slice(&data),
            // Headers that come after it.
            Ok(Err(_)) => {}
            Err(error) => return (read.freeze(), Err(error)),
        }
        if read.len() > most {
            break;
        }
    }
    (read.freeze(), Ok(()))
}
