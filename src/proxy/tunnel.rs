//! What remains of a connection after an upgrade: bytes in both directions.

use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf, copy_bidirectional};

use super::exchange::Exchange;
use super::socket::Socket;

/// The backend's side of an upgraded connection. As long as it lives the request counts as in flight.
pub(super) struct Tunnel {
    backend: Socket,
    /// What the backend said after its 101 and nobody has read.
    said: Bytes,
    exchange: Rc<Exchange>,
}

impl Tunnel {
    pub(super) fn new(backend: Socket, said: Bytes, exchange: Rc<Exchange>) -> Self {
        Self { backend, said, exchange }
    }

    /// Copies until both sides have ended, one of them fails, the backend has moved, or neither says anything for too long. `heard` is what the
    /// client has already sent.
    pub(super) async fn run<S: AsyncRead + AsyncWrite + Unpin>(self, client: S, heard: Bytes) -> io::Result<()> {
        let Self { mut backend, said, exchange } = self;
        let mut client = Counted { stream: client, exchange: Rc::clone(&exchange) };
        exchange.tunnelled(heard.len(), 0);
        let mut copying = pin!(async {
            client.write_all(&said).await?;
            client.flush().await?;
            backend.write_all(&heard).await?;
            copy_bidirectional(&mut client, &mut backend).await
        });
        std::future::poll_fn(|cx| {
            if let Poll::Ready(done) = copying.as_mut().poll(cx) {
                return Poll::Ready(done.map(|_| ()));
            }
            if exchange.is_lost(cx) { Poll::Ready(Err(io::ErrorKind::TimedOut.into())) } else { Poll::Pending }
        })
        .await
    }
}

/// The client's side, which counts for both.
struct Counted<S> {
    stream: S,
    exchange: Rc<Exchange>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.exchange.tunnelled(buf.filled().len() - before, 0);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.exchange.tunnelled(0, written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
