//! Bodies on their way through: streamed frame by frame, counted, never collected.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;

use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Sleep;

use super::exchange::Exchange;
use super::link::{Carrier, Link};

#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the peer's body could not be read")]
    Peer(#[source] hyper::Error),
    #[error("the body did not move in time")]
    Stalled,
}

/// What goes to the backend.
pub(super) enum RequestBody {
    Empty,
    /// In a box: most requests have no body, and this is moved about.
    Streaming(Box<Streaming>),
}

pub(super) struct Streaming {
    incoming: Incoming,
    exchange: Rc<Exchange>,
    /// Held back until the backend asks for it.
    hold: Option<Hold>,
}

/// An `Expect: 100-continue` (RFC 9110 §10.1.1): reading the body is what makes hyper tell the client to
/// go on, so it is not read before the backend said so.
struct Hold {
    consent: Arc<Consent>,
    patience: Pin<Box<Sleep>>,
}

#[derive(Debug, Default)]
pub(super) struct Consent {
    given: AtomicBool,
    waker: AtomicWaker,
}

impl Consent {
    pub(super) fn give(&self) {
        self.given.store(true, Ordering::Release);
        self.waker.wake();
    }
}

impl RequestBody {
    pub(super) fn new(incoming: Incoming, exchange: &Rc<Exchange>) -> Self {
        if incoming.is_end_stream() {
            return Self::Empty;
        }
        Self::Streaming(Box::new(Streaming { incoming, exchange: Rc::clone(exchange), hold: None }))
    }

    /// Holds the body back until consent is given, but not for longer than `patience`.
    pub(super) fn hold(&mut self, patience: Duration) -> Option<Arc<Consent>> {
        let Self::Streaming(streaming) = self else { return None };
        let consent = Arc::<Consent>::default();
        streaming.hold = Some(Hold { consent: Arc::clone(&consent), patience: Box::pin(tokio::time::sleep(patience)) });
        Some(consent)
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Empty)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Streaming(streaming) => streaming.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming(streaming) => streaming.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming(streaming) => streaming.incoming.size_hint(),
        }
    }
}

impl Streaming {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(hold) = &mut self.hold {
            hold.consent.waker.register(cx.waker());
            if !hold.consent.given.load(Ordering::Acquire) && hold.patience.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.hold = None;
        }
        let frame = std::task::ready!(Pin::new(&mut self.incoming).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                self.exchange.body_in(frame.data_ref().map_or(0, Bytes::len));
                if self.incoming.is_end_stream() {
                    self.exchange.body_in_ended();
                }
            }
            Some(Err(_)) => self.exchange.body_in_failed(),
            None => self.exchange.body_in_ended(),
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Peer)))
    }
}

/// What goes to the client. The exchange is over when it is dropped.
pub(super) enum ResponseBody {
    /// Our own words, or nothing.
    Fixed {
        data: Option<Bytes>,
        /// Held, not used: it ends with the body.
        _exchange: Rc<Exchange>,
    },
    Backend(Backend),
}

pub(super) struct Backend {
    incoming: Incoming,
    source: Source,
    exchange: Rc<Exchange>,
}

/// Who brings the frames.
enum Source {
    /// Given back to the pool when the body ended well, dropped otherwise.
    Link(Box<Link>),
    /// The request's body is still under way; such a link is not used again.
    Carrier {
        _task: Carrier,
    },
    Ended,
}

impl ResponseBody {
    pub(super) fn fixed(data: Bytes, exchange: Rc<Exchange>) -> Self {
        exchange.body_out(data.len());
        Self::Fixed { data: Some(data).filter(|data| !data.is_empty()), _exchange: exchange }
    }

    pub(super) fn backend(incoming: Incoming, link: Box<Link>, exchange: Rc<Exchange>) -> Self {
        if incoming.is_end_stream() {
            exchange.give_back(link);
            return Self::fixed(Bytes::new(), exchange);
        }
        let source = if exchange.is_body_in_ended() { Source::Link(link) } else { Source::Carrier { _task: link.carry() } };
        Self::Backend(Backend { incoming, source, exchange })
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Fixed { data, .. } => Poll::Ready(data.take().map(|data| Ok(Frame::data(data)))),
            Self::Backend(backend) => backend.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Fixed { data, .. } => data.is_none(),
            Self::Backend(backend) => backend.incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Fixed { data, .. } => SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64)),
            Self::Backend(backend) => backend.incoming.size_hint(),
        }
    }
}

impl Backend {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match &mut self.source {
            Source::Link(link) => link.poll_frame(&mut self.incoming, cx),
            Source::Carrier { .. } => Pin::new(&mut self.incoming).poll_frame(cx),
            Source::Ended => Poll::Ready(None),
        };
        match frame {
            Poll::Ready(Some(Ok(frame))) => {
                self.exchange.body_out(frame.data_ref().map_or(0, Bytes::len));
                if self.incoming.is_end_stream() {
                    self.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                self.exchange.body_out_failed();
                self.source = Source::Ended;
                Poll::Ready(Some(Err(BodyError::Peer(error))))
            }
            Poll::Ready(None) => {
                self.end();
                Poll::Ready(None)
            }
            Poll::Pending if self.exchange.deadline.expired(cx) => {
                self.exchange.body_out_failed();
                self.source = Source::Ended;
                Poll::Ready(Some(Err(BodyError::Stalled)))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    fn end(&mut self) {
        if let Source::Link(link) = std::mem::replace(&mut self.source, Source::Ended) {
            self.exchange.give_back(link);
        }
    }
}
