//! Bodies of answers: a text, or a number of bytes.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use hyper::Response;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::CONTENT_TYPE;

/// The bytes that downloads repeat.
static BLOCK: LazyLock<Bytes> = LazyLock::new(|| {
    let mut block = vec![0; 1 << 20];
    fastrand::Rng::with_seed(1).fill(&mut block);
    block.into()
});

/// The body of an answer.
pub(crate) struct Answer {
    text: Bytes,
    left: u64,
}

impl Answer {
    /// No body.
    pub(crate) fn empty() -> Self {
        Self::bytes(0)
    }

    /// This many arbitrary bytes.
    pub(crate) fn bytes(left: u64) -> Self {
        let text = Bytes::new();
        Self { text, left }
    }
}

/// An answer in XML.
pub(crate) fn xml(text: String) -> Response<Answer> {
    let left = text.len() as u64;
    let text = text.into();
    let mut answer = Response::new(Answer { text, left });
    let xml = hyper::header::HeaderValue::from_static("application/xml");
    answer.headers_mut().insert(CONTENT_TYPE, xml);
    answer
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if this.left == 0 {
            return Poll::Ready(None);
        }
        let data = if this.text.is_empty() {
            let most = usize::try_from(this.left).unwrap_or(usize::MAX);
            BLOCK.slice(..most.min(BLOCK.len()))
        } else {
            std::mem::take(&mut this.text)
        };
        this.left -= data.len() as u64;
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
