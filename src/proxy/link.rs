//! One HTTP/1.1 connection to a backend.
//!
//! hyper wants its connection polled beside the request. We do not spawn a task for that: whoever
//! has the link (the exchange, then its response body) drives it, so that request, response and
//! both sockets live in one task and a proxied request wakes nobody else.
//!
//! What wakes the link is its own [`Bell`]. The halves of a hyper connection ring it for each other
//! all the time; while their task is at work on them anyway, nobody needs to hear that.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http::{Request, Response};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::body::RequestBody;
use super::socket::Socket;

/// Heads of responses beyond this are refused.
const HEAD_LIMIT: usize = 256 * 1024;
const HEADER_COUNT: usize = 200;

pub(super) struct Link {
    sender: SendRequest<RequestBody>,
    wire: Wire,
    /// When it became idle, in the worker's milliseconds.
    pub idle_since: u64,
    /// How long the backend is known to keep it.
    pub idle_limit: Duration,
    /// It has carried a request before.
    pub reused: bool,
}

/// hyper's end of the connection, and what wakes it.
struct Wire {
    /// `None` once it failed and was dropped.
    connection: Option<Connection<TokioIo<Socket>, RequestBody>>,
    /// The connection has ended, be it by an upgrade.
    ended: bool,
    bell: Arc<Bell>,
    /// The bell as a waker.
    ring: Waker,
}

#[derive(Debug, Default)]
struct Bell {
    /// Who drives the link.
    task: AtomicWaker,
    muted: AtomicBool,
    /// It was rung while it was muted.
    rung: AtomicBool,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // All of this happens on one thread; the atomics are what `Wake` asks for.
        if self.muted.load(Ordering::Relaxed) {
            self.rung.store(true, Ordering::Relaxed);
        } else {
            self.task.wake();
        }
    }
}

/// What became of a request that got no response.
#[expect(clippy::large_enum_variant, reason = "it exists for a moment, and only where something went wrong")]
pub(super) enum Unanswered {
    /// Nothing of it was written: here it is.
    Unsent(Request<RequestBody>),
    Lost(hyper::Error),
    /// Waiting longer has no point.
    GivenUp,
}

impl Link {
    pub(super) async fn open(address: SocketAddr, idle_limit: Duration) -> io::Result<Box<Self>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = Builder::new()
            .max_headers(HEADER_COUNT)
            .max_buf_size(HEAD_LIMIT)
            .handshake(TokioIo::new(Socket(stream)))
            .await
            .map_err(io::Error::other)?;
        let bell = Arc::<Bell>::default();
        let ring = Waker::from(Arc::clone(&bell));
        let wire = Wire { connection: Some(connection), ended: false, bell, ring };
        Ok(Box::new(Self { sender, wire, idle_since: 0, idle_limit, reused: false }))
    }

    /// Sends the request and waits for the response's head, until it is `lost`. When dropped, the link must be dropped too.
    pub(super) fn send(
        &mut self,
        request: Request<RequestBody>,
        lost: impl Fn(&Context<'_>) -> bool,
    ) -> impl Future<Output = Result<Response<Incoming>, Unanswered>> {
        let wire = &mut self.wire;
        wire.mute();
        let mut answer = Box::pin(self.sender.try_send_request(request));
        std::future::poll_fn(move |cx| {
            wire.drive(cx);
            // All that resolves the answer happens inside the connection's poll: it needs no waker of its own.
            let mut silent = Context::from_waker(Waker::noop());
            if let Poll::Ready(answered) = answer.as_mut().poll(&mut silent) {
                return Poll::Ready(answered.map_err(unanswered));
            }
            if wire.ended {
                // Dropping the connection hands back what it had not begun to send.
                wire.connection = None;
                return answer.as_mut().poll(&mut silent).map_err(unanswered);
            }
            if lost(cx) {
                return Poll::Ready(Err(Unanswered::GivenUp));
            }
            wire.unmute();
            Poll::Pending
        })
    }

    /// The next frame of a response's body; moves bytes in both directions as far as they go now.
    pub(super) fn poll_frame(&mut self, incoming: &mut Incoming, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        // Whatever brings a frame happens inside the drive, so the body itself needs no waker.
        let mut silent = Context::from_waker(Waker::noop());
        self.wire.mute();
        if let Poll::Ready(frame) = Pin::new(&mut *incoming).poll_frame(&mut silent) {
            return Poll::Ready(frame);
        }
        self.wire.drive(cx);
        let frame = Pin::new(incoming).poll_frame(&mut silent);
        if frame.is_pending() {
            self.wire.unmute();
        }
        frame
    }

    /// Whether another request may be sent, once an exchange is over. The link is silent from here on.
    pub(super) fn rest(&mut self) -> bool {
        self.wire.mute();
        if !self.sender.is_ready() {
            self.wire.drive(&mut Context::from_waker(Waker::noop()));
        }
        !self.wire.ended && self.sender.is_ready()
    }

    /// Whether an idle link is still open, as far as it is known here.
    pub(super) fn is_open(&mut self) -> bool {
        self.wire.drive(&mut Context::from_waker(Waker::noop()));
        !self.wire.ended
    }

    /// Gives the link a task of its own: for a response that begins before its request has ended, so that a client
    /// that does not read the one is not hindered in sending the other.
    pub(super) fn carry(mut self: Box<Self>) -> Carrier {
        let task = tokio::task::spawn_local(std::future::poll_fn(move |cx| {
            self.wire.drive(cx);
            if self.wire.ended {
                return Poll::Ready(());
            }
            self.wire.unmute();
            Poll::Pending
        }));
        Carrier(task)
    }

    /// After a 101: the socket, and what the backend has already said on it.
    pub(super) async fn into_tunnel(mut self: Box<Self>) -> Option<(Socket, Bytes)> {
        std::future::poll_fn(|cx| {
            self.wire.mute();
            self.wire.drive(cx);
            if self.wire.ended {
                return Poll::Ready(());
            }
            self.wire.unmute();
            Poll::Pending
        })
        .await;
        let parts = self.wire.connection?.into_parts();
        Some((parts.io.into_inner(), parts.read_buf))
    }
}

/// A link with a task of its own, which ends with this.
pub(super) struct Carrier(JoinHandle<()>);

impl Drop for Carrier {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Wire {
    fn mute(&mut self) {
        self.bell.muted.store(true, Ordering::Relaxed);
    }

    /// From here on the driving task is woken; at once if the last drive asked for that.
    fn unmute(&mut self) {
        self.bell.muted.store(false, Ordering::Relaxed);
        if self.bell.rung.load(Ordering::Relaxed) {
            self.bell.task.wake();
        }
    }

    /// Moves bytes in both directions as far as they go now. What rang before is served by this.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection
            && !self.ended
        {
            self.bell.task.register(cx.waker());
            self.bell.muted.store(true, Ordering::Relaxed);
            self.bell.rung.store(false, Ordering::Relaxed);
            self.ended = Pin::new(connection).poll(&mut Context::from_waker(&self.ring)).is_ready();
        }
    }
}

fn unanswered(mut error: hyper::client::conn::TrySendError<Request<RequestBody>>) -> Unanswered {
    match error.take_message() {
        Some(request) => Unanswered::Unsent(request),
        None => Unanswered::Lost(error.into_error()),
    }
}
