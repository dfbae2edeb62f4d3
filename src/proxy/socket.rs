//! A TCP socket that writes small messages in one piece.
//!
//! hyper hands over head and body as a vector; for the common small message one `send` of the
//! joined bytes costs the kernel less than a `writev`. Large ones are not copied.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Vectors up to this many bytes are joined on the stack.
const SMALL: usize = 2048;

#[derive(Debug)]
pub(super) struct Socket(pub TcpStream);

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let socket = Pin::new(&mut self.0);
        if let [only] = bufs {
            return socket.poll_write(cx, only);
        }
        let mut small = [0; SMALL];
        let mut length = 0;
        for buf in bufs {
            match small.get_mut(length..length + buf.len()) {
                Some(place) => place.copy_from_slice(buf),
                None => return socket.poll_write_vectored(cx, bufs),
            }
            length += buf.len();
        }
        socket.poll_write(cx, &small[..length])
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
