//! The bytes of an HTTP/1 client on their way to hyper, with [`Framing`] in between.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::client::Client;
use super::framing::Framing;

/// What is read after something was refused.
enum Refused {
    /// The rest of [`POISON`], then the end.
    Head(&'static [u8]),
    Body,
}

/// What hyper reads in place of an ambiguous head: no parser takes a NUL, wherever in a head it
/// stands, so hyper answers 400 and closes.
const POISON: &[u8] = b"\0\r\n\r\n";

pub(super) struct Gate<S> {
    stream: S,
    client: Rc<Client>,
    framing: Framing,
    refused: Option<Refused>,
    /// The client has sent the last byte.
    ended: bool,
}

impl<S> Gate<S> {
    pub(super) fn new(stream: S, client: Rc<Client>) -> Self {
        Self { stream, client, framing: Framing::new(), refused: None, ended: false }
    }

    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    /// The client has ended its side. To hyper that is the end of everything, so it learns of it when the answers to
    /// all complete requests are out; until then the client's deadline runs, which wakes this task.
    fn end(&mut self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        if !self.framing.is_between() {
            return Poll::Ready(Ok(()));
        }
        if !std::mem::replace(&mut self.ended, true) {
            // A request that hyper has just read is not begun yet; it is when we are asked again.
            self.client.hangs_up(cx.waker());
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.client.is_idle() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gate<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let gate = self.get_mut();
        if let Some(refused) = &mut gate.refused {
            return Poll::Ready(refused.read(buf));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut gate.stream).poll_read(cx, buf))?;
        if gate.client.is_tunnel() {
            return Poll::Ready(Ok(()));
        }
        if buf.filled().len() == before {
            return gate.end(cx);
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
                buf.set_filled(before + ambiguous.after);
                let refused = gate.refused.insert(if ambiguous.in_head { Refused::Head(POISON) } else { Refused::Body });
                // What was good comes first, and nothing at all would mean the end.
                Poll::Ready(if ambiguous.after > 0 { Ok(()) } else { refused.read(buf) })
            }
        }
    }
}

impl Refused {
    fn read(&mut self, buf: &mut ReadBuf<'_>) -> io::Result<()> {
        let Self::Head(poison) = self else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "malformed chunked body"));
        };
        let (now, later) = poison.split_at(poison.len().min(buf.remaining()));
        buf.put_slice(now);
        *poison = later;
        Ok(())
    }
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
