//! The bytes of an HTTP/1 client on their way to hyper, with [`Framing`] in between.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::client::Client;
use super::framing::Framing;

/// What hyper reads in place of an ambiguous head: no parser takes a NUL, wherever in a head it
/// stands, so hyper answers 400 and closes.
const POISON: &[u8] = b"\0\r\n\r\n";

pub(super) struct Gate<S> {
    stream: S,
    client: Rc<Client>,
    framing: Framing,
    /// Poison that is still to be read; `None` while nothing was refused.
    poison: Option<&'static [u8]>,
}

impl<S> Gate<S> {
    pub(super) fn new(stream: S, client: Rc<Client>) -> Self {
        Self { stream, client, framing: Framing::new(), poison: None }
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gate<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        if let Some(poison) = &mut gate.poison {
            give(poison, buf);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut gate.stream).poll_read(cx, buf))?;
        if gate.client.is_tunnel() {
            return Poll::Ready(Ok(()));
        }
        match gate.framing.feed(&buf.filled()[before..]) {
            Ok(progress) => {
                if progress.in_head {
                    gate.client.head_begins();
                }
                Poll::Ready(Ok(()))
            }
            Err(ambiguous) => {
                gate.client.malformed();
                let Some(head_at) = ambiguous.head_at else {
                    gate.poison = Some(b"");
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "malformed chunked body")));
                };
                buf.set_filled(before + head_at);
                let poison = gate.poison.insert(POISON);
                give(poison, buf);
                Poll::Ready(Ok(()))
            }
        }
    }
}

/// Gives as much of the poison as there is room for; without any left the reader sees the end.
fn give(poison: &mut &'static [u8], buf: &mut ReadBuf<'_>) {
    let (now, later) = poison.split_at(poison.len().min(buf.remaining()));
    buf.put_slice(now);
    *poison = later;
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
