//! Bodies on their way through the gate, and what a fault does to them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use crate::server::{Busy, Connection};

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type AnyBody = UnsyncBoxBody<Bytes, BoxError>;
/// A request's body, as the server behind the gate reads it.
pub(crate) type RequestBody = Harmed<Incoming>;

/// What a fault does to a body.
pub(crate) enum Harm {
    /// The connection is reset once so many bytes have passed.
    Cut { left: u64 },
    /// The byte after so many others is another one.
    Corrupt { left: u64 },
    /// All of it comes late.
    Late(Pin<Box<Sleep>>),
    /// Every piece of it comes late.
    Slow {
        wait: Duration,
        until: Pin<Box<Sleep>>,
    },
}

impl Harm {
    pub(crate) fn late(wait: Duration) -> Self {
        Self::Late(Box::pin(sleep(wait)))
    }

    pub(crate) fn slow(wait: Duration) -> Self {
        Self::Slow {
            wait,
            until: Box::pin(sleep(wait)),
        }
    }
}

/// A body under a fault, if there is one.
pub(crate) struct Harmed<B> {
    inner: B,
    harm: Option<Harm>,
    connection: Arc<Connection>,
    /// The bytes before the cut have been passed on: they are sent before the reset.
    yielded: bool,
}

impl<B> Harmed<B> {
    pub(crate) fn new(inner: B, harm: Option<Harm>, connection: &Arc<Connection>) -> Self {
        let connection = Arc::clone(connection);
        Self {
            inner,
            harm,
            connection,
            yielded: false,
        }
    }
}

impl<B> Body for Harmed<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin,
{
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = self.get_mut();
        match &mut this.harm {
            Some(Harm::Late(until)) => {
                ready!(until.as_mut().poll(cx));
                this.harm = None;
            }
            Some(Harm::Slow { until, .. }) => ready!(until.as_mut().poll(cx)),
            Some(Harm::Cut { left: 0 }) => {
                if !this.yielded {
                    this.yielded = true;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                this.connection.reset();
                return Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())));
            }
            Some(Harm::Cut { .. } | Harm::Corrupt { .. }) | None => {}
        }
        let frame = match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(io::Error::other(error)))),
            None => return Poll::Ready(None),
        };
        if let Some(Harm::Slow { wait, until }) = &mut this.harm {
            until.as_mut().reset(Instant::now() + *wait);
        }
        let harm = &mut this.harm;
        Poll::Ready(Some(Ok(frame.map_data(|data| pass(data, harm)))))
    }

    fn is_end_stream(&self) -> bool {
        !matches!(self.harm, Some(Harm::Cut { left: 0 })) && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// What is left of a piece of a body.
fn pass(mut data: Bytes, harm: &mut Option<Harm>) -> Bytes {
    let length = data.len() as u64;
    match harm {
        Some(Harm::Cut { left }) => {
            data.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= data.len() as u64;
        }
        Some(Harm::Corrupt { left }) if *left < length => {
            let mut bytes = BytesMut::from(data);
            // It fits: it is less than a length in memory.
            let at = usize::try_from(*left).unwrap_or_default();
            bytes[at] = !bytes[at];
            *harm = None;
            return bytes.freeze();
        }
        Some(Harm::Corrupt { left }) => *left -= length,
        Some(Harm::Late(_) | Harm::Slow { .. }) | None => {}
    }
    data
}

/// An answer's body, which keeps its connection busy until it is sent.
pub(crate) struct AnswerBody {
    pub(crate) inner: Harmed<AnyBody>,
    pub(crate) _busy: Busy,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
