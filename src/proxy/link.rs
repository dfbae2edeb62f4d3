//! One HTTP/1.1 connection to a backend.
//!
//! hyper wants its connection polled beside the request. We do not spawn a task for that: whoever
//! has the link (the exchange, then its response body) drives it, so that request, response and
//! both sockets live in one task and a proxied request wakes nobody else.

use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::body::RequestBody;
use super::deadline::Deadline;

/// Heads of responses beyond this are refused.
const HEAD_LIMIT: usize = 256 * 1024;
const HEADER_COUNT: usize = 200;

pub(super) struct Link {
    sender: SendRequest<RequestBody>,
    /// `None` once it failed and was dropped.
    connection: Option<Connection<TokioIo<TcpStream>, RequestBody>>,
    /// The connection has ended, be it by an upgrade.
    ended: bool,
    /// When it became idle, in the worker's milliseconds.
    pub idle_since: u64,
    /// How long the backend is known to keep it.
    pub idle_limit: Duration,
    /// It has carried a request before.
    pub reused: bool,
}

/// What became of a request that got no response.
pub(super) enum Unanswered {
    /// Nothing of it was written: here it is.
    Unsent(Request<RequestBody>),
    Lost(hyper::Error),
    TimedOut,
}

impl Link {
    pub(super) async fn open(address: SocketAddr, idle_limit: Duration) -> io::Result<Box<Self>> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = Builder::new()
            .max_headers(HEADER_COUNT)
            .max_buf_size(HEAD_LIMIT)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        Ok(Box::new(Self { sender, connection: Some(connection), ended: false, idle_since: 0, idle_limit, reused: false }))
    }

    /// Sends the request and waits for the response's head. When dropped, the link must be dropped too.
    pub(super) async fn send(&mut self, request: Request<RequestBody>, deadline: &Deadline) -> Result<Response<Incoming>, Unanswered> {
        let mut answer = pin!(self.sender.try_send_request(request));
        let connection = &mut self.connection;
        let ended = &mut self.ended;
        std::future::poll_fn(|cx| {
            drive(connection, ended, cx);
            // All that resolves the answer happens inside the connection's poll: it needs no waker of its own.
            let mut silent = Context::from_waker(Waker::noop());
            if let Poll::Ready(answered) = answer.as_mut().poll(&mut silent) {
                return Poll::Ready(answered.map_err(unanswered));
            }
            if *ended {
                // Dropping the connection hands back what it had not begun to send.
                *connection = None;
                return answer.as_mut().poll(&mut silent).map_err(unanswered);
            }
            if deadline.expired(cx) { Poll::Ready(Err(Unanswered::TimedOut)) } else { Poll::Pending }
        })
        .await
    }

    /// Moves bytes in both directions as far as they go now.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.connection, &mut self.ended, cx);
    }

    /// Whether another request may be sent. Also takes the finished exchange's waker out of the connection.
    pub(super) fn rest(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        !self.ended && self.sender.is_ready()
    }

    /// After a 101: the socket, and what the backend has already said on it.
    pub(super) async fn into_tunnel(mut self) -> Option<(TcpStream, Bytes)> {
        std::future::poll_fn(|cx| {
            self.drive(cx);
            if self.ended { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        let parts = self.connection?.into_parts();
        Some((parts.io.into_inner(), parts.read_buf))
    }
}

fn drive(connection: &mut Option<Connection<TokioIo<TcpStream>, RequestBody>>, ended: &mut bool, cx: &mut Context<'_>) {
    if let Some(connection) = connection
        && !*ended
    {
        *ended = Pin::new(connection).poll(cx).is_ready();
    }
}

fn unanswered(mut error: hyper::client::conn::TrySendError<Request<RequestBody>>) -> Unanswered {
    match error.take_message() {
        Some(request) => Unanswered::Unsent(request),
        None => Unanswered::Lost(error.into_error()),
    }
}
