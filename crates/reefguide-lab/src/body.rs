//! Request and response bodies on their way through the interceptor, and what a fault does to them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use crate::connection::{Busy, Connection};
use crate::error::BoxError;

pub(crate) type AnyBody = UnsyncBoxBody<Bytes, BoxError>;
/// A request body, as the server behind the interceptor reads it.
pub(crate) type RequestBody = FaultyBody<Incoming>;
/// A response body, as the client gets it.
pub(crate) type ResponseBody = FaultyBody<AnyBody>;

/// What a fault does to a body.
pub(crate) enum BodyFault {
    /// The connection is reset after `left` more bytes.
    Cut { left: u64 },
    /// The byte after `left` more bytes is changed.
    Corrupt { left: u64 },
    /// The whole body is delayed.
    Late(Pin<Box<Sleep>>),
    /// Each piece of the body is delayed.
    Slow {
        wait: Duration,
        until: Pin<Box<Sleep>>,
    },
}

impl BodyFault {
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

/// A body, with the fault that applies to it, if any.
pub(crate) struct FaultyBody<B> {
    inner: B,
    fault: Option<BodyFault>,
    connection: Arc<Connection>,
    /// Whether the task has yielded since the last byte before the cut, so that hyper sends those bytes first.
    yielded: bool,
    /// Keeps the connection busy until the body is sent.
    _busy: Option<Busy>,
}

impl<B> FaultyBody<B> {
    pub(crate) fn new(
        inner: B,
        fault: Option<BodyFault>,
        connection: &Arc<Connection>,
        busy: Option<Busy>,
    ) -> Self {
        let connection = Arc::clone(connection);
        Self {
            inner,
            fault,
            connection,
            yielded: false,
            _busy: busy,
        }
    }
}

impl<B> Body for FaultyBody<B>
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
        match &mut this.fault {
            Some(BodyFault::Late(until)) => {
                ready!(until.as_mut().poll(cx));
                this.fault = None;
            }
            Some(BodyFault::Slow { until, .. }) => ready!(until.as_mut().poll(cx)),
            Some(BodyFault::Cut { left: 0 }) => {
                if !this.yielded {
                    this.yielded = true;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                this.connection.reset();
                return Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into())));
            }
            Some(BodyFault::Cut { .. } | BodyFault::Corrupt { .. }) | None => {}
        }
        let frame = match ready!(Pin::new(&mut this.inner).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(io::Error::other(error)))),
            None => return Poll::Ready(None),
        };
        if let Some(BodyFault::Slow { wait, until }) = &mut this.fault {
            until.as_mut().reset(Instant::now() + *wait);
        }
        let fault = &mut this.fault;
        Poll::Ready(Some(Ok(frame.map_data(|data| apply(data, fault)))))
    }

    fn is_end_stream(&self) -> bool {
        !matches!(self.fault, Some(BodyFault::Cut { left: 0 })) && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Applies the fault to a piece of the body.
fn apply(mut data: Bytes, fault: &mut Option<BodyFault>) -> Bytes {
    let length = data.len() as u64;
    match fault {
        Some(BodyFault::Cut { left }) => {
            data.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
            *left -= data.len() as u64;
        }
        Some(BodyFault::Corrupt { left }) if *left < length => {
            let mut bytes = BytesMut::from(data);
            // It fits: it is less than a length in memory.
            let at = usize::try_from(*left).unwrap_or_default();
            bytes[at] = !bytes[at];
            *fault = None;
            return bytes.freeze();
        }
        Some(BodyFault::Corrupt { left }) => *left -= length,
        Some(BodyFault::Late(_) | BodyFault::Slow { .. }) | None => {}
    }
    data
}
