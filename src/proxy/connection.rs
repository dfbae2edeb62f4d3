//! Serving one accepted socket until it ends: handshake, HTTP/1 or HTTP/2, then perhaps a tunnel.

use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;

use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::server::TlsStream;

use super::client::Client;
use super::forward;
use super::gate::Gate;
use super::settings::Limits;
use super::socket::Socket;
use super::tls;

/// Per HTTP/2 stream and connection: what a client may send before the backend has taken it.
const STREAM_WINDOW: u32 = 512 * 1024;
const CONNECTION_WINDOW: u32 = 2 * 1024 * 1024;
/// Per HTTP/2 stream: what a backend may send before the client has taken it.
const SEND_BUFFER: usize = 256 * 1024;
/// Streams that were reset before anybody looked at them; beyond it the connection is closed (rapid reset, CVE-2023-44487).
const PENDING_RESETS: usize = 32;

/// hyper's settings, made once per worker.
pub(super) struct Protocols {
    http1: http1::Builder,
    http2: http2::Builder<Local>,
}

/// Runs HTTP/2 streams on the worker's own thread; a panic in one ends that one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Local;

impl<F: Future<Output: 'static> + 'static> Executor<F> for Local {
    fn execute(&self, stream: F) {
        drop(tokio::task::spawn_local(stream));
    }
}

impl Protocols {
    pub(super) fn new(limits: &Limits) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            // Our own deadlines watch the head; hyper's cost a timer per request.
            .header_read_timeout(None)
            .max_headers(limits.header_count)
            .max_header_size(limits.header_bytes)
            .max_buf_size(limits.header_bytes.max(8 * 1024))
            .auto_date_header(false);
        let mut http2 = http2::Builder::new(Local);
        http2
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(PENDING_RESETS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .auto_date_header(false);
        Self { http1, http2 }
    }
}

/// Serves plain HTTP/1.
pub(super) async fn serve_plain(client: Rc<Client>, stream: Socket) {
    client.speaks(false);
    serve_http1(client, stream).await;
}

/// Serves TLS, and HTTP/2 or HTTP/1 in it as ALPN says.
pub(super) async fn serve_tls(client: Rc<Client>, stream: Socket) {
    let acceptor = client.worker.acceptor();
    // The handshake's state is large and gone soon: it does not stay in the connection's task.
    let Some(stream) = Box::pin(handshake(&client, acceptor.accept(stream))).await else {
        client.worker.counters().handshakes_failed.add(1);
        return;
    };
    let (protocol, name) = (stream.get_ref().1.alpn_protocol(), stream.get_ref().1.server_name());
    if protocol == Some(tls::ACME) {
        return;
    }
    let http2 = protocol == Some(b"h2");
    client.asked_for(name);
    client.speaks(http2);
    if http2 {
        serve_http2(client, stream).await;
    } else {
        serve_http1(client, stream).await;
    }
}

async fn handshake(client: &Client, accept: tokio_rustls::Accept<Socket>) -> Option<TlsStream<Socket>> {
    let mut accept = pin!(accept);
    std::future::poll_fn(|cx| match accept.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(done.ok()),
        Poll::Pending if client.is_late(cx) => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

async fn serve_http1<S: AsyncRead + AsyncWrite + Unpin>(client: Rc<Client>, stream: S) {
    let io = TokioIo::new(Gate::new(stream, Rc::clone(&client)));
    let handler = Rc::clone(&client);
    let service = service_fn(move |request| forward::serve(Rc::clone(&handler), request));
    let mut connection = client.worker.protocols.http1.serve_connection(io, service);
    let mut draining = false;
    let served = std::future::poll_fn(|cx| {
        if !draining && client.worker.draining.get() {
            draining = true;
            client.last_call();
        }
        if client.is_late(cx) {
            return Poll::Ready(false);
        }
        pin!(&mut connection).poll(cx).map(|done| done.is_ok())
    })
    .await;
    if let (true, Some(tunnel)) = (served, client.take_tunnel()) {
        let parts = connection.into_parts();
        let stream = parts.io.into_inner().into_inner();
        if let Err(error) = tunnel.run(stream, parts.read_buf).await {
            tracing::debug!(%error, "an upgraded connection ended");
        }
    }
}

async fn serve_http2<S: AsyncRead + AsyncWrite + Unpin + 'static>(client: Rc<Client>, stream: S) {
    let handler = Rc::clone(&client);
    let service = service_fn(move |request| forward::serve(Rc::clone(&handler), request));
    let mut connection = pin!(client.worker.protocols.http2.serve_connection(TokioIo::new(stream), service));
    let mut leaving = false;
    std::future::poll_fn(|cx| {
        let late = client.is_late(cx);
        if late && leaving {
            return Poll::Ready(());
        }
        if (late || client.worker.draining.get()) && !leaving {
            // GOAWAY; streams that are under way are served. Then the connection ends by itself.
            leaving = true;
            connection.as_mut().graceful_shutdown();
            client.last_call();
        }
        connection.as_mut().poll(cx).map(drop)
    })
    .await;
}
