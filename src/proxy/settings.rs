//! What the proxy is told once, when it starts.

use std::path::PathBuf;
use std::time::Duration;

/// The proxy's settings; the defaults suit a server on the public internet.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Worker threads; 0 means one per core.
    pub workers: usize,
    pub timeouts: Timeouts,
    pub limits: Limits,
    /// The JSON access log; `None` writes none.
    pub access_log: Option<PathBuf>,
}

/// How long the proxy waits for others. Deadlines are coarse: they fire up to 0.2 s late, never early.
#[derive(Debug, Clone)]
pub struct Timeouts {
    /// From a request's first byte (or the connection's begin) to the end of its head.
    pub header: Duration,
    pub handshake: Duration,
    /// A client's connection without a request.
    pub keep_alive: Duration,
    /// A client that has ended its sending side: how long it may wait for the next part of its answer. Most who look like
    /// that are gone, and nothing but sending to them would tell.
    pub hung_up: Duration,
    pub connect: Duration,
    /// A body, in either direction, that does not move.
    pub body: Duration,
    /// An upgraded connection on which neither side says anything.
    pub tunnel: Duration,
    /// A pooled connection to a backend. Less than the 60 s after which common servers close theirs.
    pub upstream_idle: Duration,
    /// How long a request body waits for the backend's `100 Continue` before it is sent anyway (RFC 9110 §10.1.1).
    pub expect_continue: Duration,
}

/// What a client may ask of one worker.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Clients beyond this wait in the listener's backlog.
    pub connections: usize,
    /// A request's head; above it the answer is 431.
    pub header_bytes: usize,
    pub header_count: usize,
    /// Requests at once on one HTTP/2 connection.
    pub streams: u32,
    /// Idle connections kept per backend.
    pub idle_links: usize,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            handshake: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            hung_up: Duration::from_secs(5),
            connect: Duration::from_secs(3),
            body: Duration::from_secs(300),
            tunnel: Duration::from_secs(3600),
            upstream_idle: Duration::from_secs(40),
            expect_continue: Duration::from_secs(1),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 20_000, header_bytes: 64 * 1024, header_count: 100, streams: 128, idle_links: 256 }
    }
}

impl Settings {
    /// The number of worker threads: at least one.
    pub fn worker_count(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            count => count,
        }
    }
}
