//! Connections: accepted up to a limit, read within deadlines, ended in order.
//!
//! HTTP/1.1 only, spoken by hyper directly because `axum::serve` has no knobs. A peer that is slow
//! on purpose costs one of the listener's places for as long as a deadline lasts, not for ever.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;

use super::body::BodyTimeout;
use super::sender::Peer;
use super::{Api, Context, Door, router};

/// What one listener allows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections at one time; more wait in the kernel's queue.
    pub connections: usize,
    /// For the head of a request, also for the first byte of the next one.
    pub header_timeout: Duration,
    /// For a request's body.
    pub body_timeout: Duration,
    /// For requests in flight when the daemon stops.
    pub grace: Duration,
}

impl Limits {
    pub(super) const DEFAULT: Self = Self {
        connections: 512,
        header_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(30),
        grace: Duration::from_secs(2),
    };
}

/// The largest head of a request, in bytes.
const MAX_HEAD: usize = 64 * 1024;

/// A peer that is silent for so long is asked whether it is there. One that is there and does not
/// read may stay: somebody looks at logs page by page.
const SILENCE: Duration = Duration::from_secs(60);

/// After an accept that failed: usually file descriptors ran out, and trying at once fails again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the API with tokens until `stop`; returns when the last connection has ended.
pub async fn serve_tcp(listener: TcpListener, api: Arc<Api>, stop: CancellationToken) {
    serve(Listener::Tcp(listener), api, stop, Limits::DEFAULT).await;
}

/// Serves the API without tokens until `stop`: the socket's file mode decides who comes in.
pub async fn serve_unix(listener: UnixListener, api: Arc<Api>, stop: CancellationToken) {
    serve(Listener::Unix(listener), api, stop, Limits::DEFAULT).await;
}

pub(super) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

type Stream = Either<TcpStream, UnixStream>;

impl Listener {
    fn door(&self) -> Door {
        match self {
            Self::Tcp(_) => Door::Tcp,
            Self::Unix(_) => Door::Unix,
        }
    }

    async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                tune(&stream);
                Ok((Either::Left(stream), Peer(Some(address.ip()))))
            }
            Self::Unix(listener) => Ok((Either::Right(listener.accept().await?.0), Peer(None))),
        }
    }
}

/// Small answers leave at once, and dead peers are noticed. Where the system refuses, the
/// connection works all the same.
fn tune(stream: &TcpStream) {
    let socket = SockRef::from(stream);
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(SILENCE));
}

pub(super) async fn serve(listener: Listener, api: Arc<Api>, stop: CancellationToken, limits: Limits) {
    let door = listener.door();
    let router = router(Context { api, stop: stop.clone() }, door).layer(Extension(BodyTimeout(limits.body_timeout)));
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => note_panic(ended),
            (stream, peer, place) = next(&listener, &places) => {
                connections.spawn(converse(stream, router.clone().layer(Extension(peer)), stop.clone(), limits, place));
            }
        }
    }
    drop(listener);
    while let Some(ended) = connections.join_next().await {
        note_panic(ended);
    }
    tracing::debug!(?door, "Stopped the API");
}

/// The next connection, once there is a place for it.
async fn next(listener: &Listener, places: &Arc<Semaphore>) -> (Stream, Peer, OwnedSemaphorePermit) {
    let place = places.clone().acquire_owned().await.expect("invariant: the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, place),
            Err(error) => {
                tracing::warn!(%error, "Could not accept a connection to the API");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection, until the peer leaves, breaks a limit, or the grace after `stop` is over.
async fn converse(stream: Stream, router: Router, stop: CancellationToken, limits: Limits, _place: OwnedSemaphorePermit) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(limits.grace, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = crate::error::chain(&error), "A connection to the API broke");
    }
}

fn note_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "A connection to the API was given up");
    }
}
