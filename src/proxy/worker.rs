//! One worker: a thread with a runtime of its own, its own listeners, pools, counters and log
//! buffer. Workers share nothing that is written while requests run.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::FutureExt as _;
use http::HeaderValue;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, watch};
use tokio_rustls::TlsAcceptor;

use super::access_log::AccessLog;
use super::client::Client;
use super::connection::{self, Protocols};
use super::counters::BackendCounters;
use super::counters::{PerWorker, Registry, RouteCounters, WorkerCounters};
use super::deadline::{Deadlines, TICK};
use super::listeners::ListenerSet;
use super::settings::Settings;
use super::snapshot::{BackendId, Snapshot};
use super::socket::Socket;
use super::table::Table;
use super::tls;
use super::upstream::Upstream;

/// A snapshot on its way to the workers, with the counters of what it names.
pub(super) struct Edition {
    pub generation: u64,
    pub snapshot: Arc<Snapshot>,
    pub routes: Vec<PerWorker<RouteCounters>>,
    pub backends: HashMap<BackendId, PerWorker<BackendCounters>>,
}

/// What a worker is told by the control plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Serve,
    /// Accept nobody any more; end when all clients are gone, or after this time.
    Drain(Duration),
}

/// What a worker thread is started with.
pub(super) struct Start {
    pub index: usize,
    pub settings: Settings,
    pub listeners: Vec<ListenerSet>,
    pub ports: Ports,
    pub tls: Arc<ServerConfig>,
    pub registry: Arc<Registry>,
    pub editions: watch::Receiver<Arc<Edition>>,
    pub orders: watch::Receiver<Order>,
    /// Of all workers: the generation that each serves.
    pub adopted: Arc<[AtomicU64]>,
    pub log: Option<SyncSender<Vec<u8>>>,
}

/// The ports that redirects point at; `None` when nobody listens there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ports {
    pub http: Option<u16>,
    pub https: Option<u16>,
}

pub(super) struct Worker {
    index: usize,
    pub settings: Settings,
    pub protocols: Protocols,
    pub deadlines: Rc<Deadlines>,
    pub draining: Cell<bool>,
    pub clients: Cell<usize>,
    pub https_port: Option<u16>,
    http_port: Option<u16>,
    client_left: Notify,
    drain_begins: Notify,
    table: RefCell<Rc<Table>>,
    upstreams: RefCell<HashMap<(BackendId, SocketAddr), Rc<Upstream>>>,
    tls: Arc<ServerConfig>,
    acceptor: RefCell<TlsAcceptor>,
    registry: Arc<Registry>,
    log: RefCell<AccessLog>,
    spare_buffers: RefCell<Vec<Vec<u8>>>,
    clock: RefCell<Clock>,
    ids: RefCell<RequestIds>,
}

/// Runs a worker until it has drained.
pub(super) fn run(start: Start) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(async move {
        let Start { listeners, mut editions, mut orders, adopted, .. } = start;
        let worker = Rc::new(Worker::new(start.index, start.settings, start.ports, start.tls, start.registry, start.log));
        worker.adopt(&editions.borrow_and_update());
        adopted[worker.index].store(editions.borrow().generation, Ordering::Release);
        let accepting = listeners.into_iter().map(|set| worker.accept_all(set)).collect::<io::Result<Vec<_>>>()?;
        let housekeeping = tokio::task::spawn_local(Rc::clone(&worker).housekeep());
        let grace = loop {
            tokio::select! {
                changed = editions.changed() => {
                    // Without a control plane there are no new tables and no orders either: the last ones stay.
                    if changed.is_err() { break Duration::ZERO; }
                    let edition = Arc::clone(&editions.borrow_and_update());
                    worker.adopt(&edition);
                    adopted[worker.index].store(edition.generation, Ordering::Release);
                }
                ordered = orders.wait_for(|order| *order != Order::Serve) => {
                    match ordered.as_deref() { Ok(Order::Drain(grace)) => break *grace, _ => break Duration::ZERO }
                }
            }
        };
        worker.draining.set(true);
        worker.drain_begins.notify_waiters();
        for task in accepting.into_iter().flatten() {
            // A listener's task ends as soon as it has accepted who already waits.
            let _ = task.await;
        }
        worker.deadlines.wake_all();
        // Clients that are left after the grace are cut when the runtime goes.
        let _ = tokio::time::timeout(grace, worker.empty()).await;
        housekeeping.abort();
        worker.flush_log();
        Ok(())
    })
}

impl Worker {
    fn new(
        index: usize,
        settings: Settings,
        ports: Ports,
        tls: Arc<ServerConfig>,
        registry: Arc<Registry>,
        log: Option<SyncSender<Vec<u8>>>,
    ) -> Self {
        Self {
            index,
            protocols: Protocols::new(&settings.limits),
            settings,
            deadlines: Deadlines::new(),
            draining: Cell::new(false),
            clients: Cell::new(0),
            https_port: ports.https,
            http_port: ports.http,
            client_left: Notify::new(),
            drain_begins: Notify::new(),
            table: RefCell::default(),
            upstreams: RefCell::default(),
            acceptor: RefCell::new(tls::acceptor(&tls, &super::Certificates::default(), &super::Challenges::default())),
            tls,
            registry,
            log: RefCell::new(AccessLog::new(log)),
            spare_buffers: RefCell::default(),
            clock: RefCell::new(Clock::default()),
            ids: RefCell::new(RequestIds::new(index)),
        }
    }

    pub(super) fn counters(&self) -> &WorkerCounters {
        &self.registry.workers[self.index]
    }

    pub(super) fn table(&self) -> Rc<Table> {
        Rc::clone(&self.table.borrow())
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.acceptor.borrow().clone()
    }

    /// Serves this snapshot from now on. Backends that stay keep their connections and their record.
    fn adopt(&self, edition: &Edition) {
        let mut before = self.upstreams.take();
        let mut now: HashMap<(BackendId, SocketAddr), Rc<Upstream>> = HashMap::new();
        let mut arrived: HashMap<BackendId, Rc<Upstream>> = HashMap::new();
        let table = Table::new(&edition.snapshot, self.index, &edition.routes, |backend| {
            let key = (backend.id.clone(), backend.address);
            let kept = before.remove(&key);
            let upstream = now.entry(key).or_insert_with(|| {
                let counters = edition.backends.get(&backend.id).cloned().unwrap_or_else(|| unenrolled(self.index));
                kept.unwrap_or_else(|| {
                    let new = Upstream::new(backend.id.clone(), backend.address, self.index, counters, self.settings.limits.idle_links);
                    arrived.insert(backend.id.clone(), Rc::clone(&new));
                    new
                })
            });
            Rc::clone(upstream)
        });
        *self.upstreams.borrow_mut() = now;
        *self.table.borrow_mut() = Rc::new(table);
        *self.acceptor.borrow_mut() = tls::acceptor(&self.tls, &edition.snapshot.certificates, &edition.snapshot.challenges);
        let mut moved = false;
        for gone in before.into_values() {
            gone.retire();
            if let Some(successor) = arrived.get(&gone.id) {
                gone.move_to(successor);
                moved = true;
            }
        }
        if moved {
            self.deadlines.wake_all();
        }
    }

    /// An absolute URL of ours. `target` is path and query, byte for byte.
    pub(super) fn location(&self, secure: bool, host: &str, target: &str) -> String {
        let (scheme, port, default) = if secure { ("https", self.https_port, 443) } else { ("http", self.http_port, 80) };
        // An absolute target may have no path: only a query, or nothing.
        let (root, target) = match target.as_bytes().first() {
            Some(b'/') => ("", target),
            Some(b'?') => ("/", target),
            _ => ("/", ""),
        };
        match port {
            Some(port) if port != default => format!("{scheme}://{host}:{port}{root}{target}"),
            _ => format!("{scheme}://{host}{root}{target}"),
        }
    }

    pub(super) fn request_id(&self) -> HeaderValue {
        self.ids.borrow_mut().next()
    }

    pub(super) fn client_left(&self) {
        self.clients.set(self.clients.get() - 1);
        // All who wait: the one for whom nobody knocks would take the place from the others.
        self.client_left.notify_waiters();
    }

    /// An empty buffer for a request's text.
    pub(super) fn spare_buffer(&self) -> Vec<u8> {
        self.spare_buffers.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(1024))
    }

    /// Takes a buffer back; unusually large or many ones are let go.
    pub(super) fn give_buffer(&self, mut buffer: Vec<u8>) {
        const SPARE: usize = 64;
        const LARGE: usize = 8 * 1024;
        let mut spare = self.spare_buffers.borrow_mut();
        if spare.len() < SPARE && buffer.capacity() <= LARGE {
            buffer.clear();
            spare.push(buffer);
        }
    }

    /// Resolves when no client is left.
    async fn empty(&self) {
        while self.clients.get() > 0 {
            self.client_left.notified().await;
        }
    }
}

/// For a backend that nobody enrolled: counted where nobody looks.
fn unenrolled(index: usize) -> PerWorker<BackendCounters> {
    (0..=index).map(|_| BackendCounters::default()).collect()
}

/// The access log.
impl Worker {
    pub(super) fn logs(&self) -> bool {
        self.log.borrow().is_on()
    }

    pub(super) fn write_time(&self, line: &mut Vec<u8>) {
        self.clock.borrow_mut().write(line);
    }

    /// Takes a complete line.
    pub(super) fn log(&self, line: Vec<u8>) {
        let dropped = self.log.borrow_mut().push(&line);
        self.counters().log_lines_dropped.add(dropped);
        self.give_buffer(line);
    }

    fn flush_log(&self) {
        let dropped = self.log.borrow_mut().flush();
        self.counters().log_lines_dropped.add(dropped);
    }

    /// Ticks the deadlines; each second hands the log over and looks through the pools. Sleeps when there is nothing of either.
    async fn housekeep(self: Rc<Self>) {
        let mut ticks = 0_u32;
        loop {
            if !self.deadlines.any() && self.log.borrow().is_empty() && self.upstreams.borrow().values().all(|u| u.is_quiet()) {
                self.deadlines.needed().await;
            }
            tokio::time::sleep(TICK).await;
            self.deadlines.tick();
            ticks = ticks.wrapping_add(1);
            if ticks.is_multiple_of(10) {
                self.flush_log();
                let now = self.deadlines.now();
                self.upstreams.borrow().values().for_each(|upstream| upstream.sweep(now));
            }
        }
    }
}

/// Accepting.
impl Worker {
    fn accept_all(self: &Rc<Self>, set: ListenerSet) -> io::Result<Vec<tokio::task::JoinHandle<()>>> {
        let plain = set.http.into_iter().map(|listener| (listener, false));
        let secure = set.https.into_iter().map(|listener| (listener, true));
        plain
            .chain(secure)
            .map(|(listener, secure)| {
                listener.set_nonblocking(true)?;
                let listener = TcpListener::from_std(listener)?;
                Ok(tokio::task::spawn_local(Rc::clone(self).accept(listener, secure)))
            })
            .collect()
    }

    /// Accepts until the worker drains, and then who already waits in the backlog: the kernel has told them that they are connected.
    async fn accept(self: Rc<Self>, listener: TcpListener, secure: bool) {
        while !self.draining.get() {
            if self.clients.get() >= self.settings.limits.connections {
                tokio::select! {
                    () = self.client_left.notified() => {}
                    () = self.drain_begins.notified() => {}
                }
                continue;
            }
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => self.begin(stream, peer, secure),
                    Err(error) => self.cannot_accept(&error).await,
                },
                () = self.drain_begins.notified() => {}
            }
        }
        while let Some(Ok((stream, peer))) = listener.accept().now_or_never() {
            self.begin(stream, peer, secure);
        }
    }

    fn begin(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr, secure: bool) {
        let client = Client::new(Rc::clone(self), peer, secure);
        let stream = Socket(stream);
        if secure {
            drop(tokio::task::spawn_local(connection::serve_tls(client, stream)));
        } else {
            drop(tokio::task::spawn_local(connection::serve_plain(client, stream)));
        }
    }

    /// A peer that gave up is nobody's fault; out of file descriptors we wait for some to come back.
    async fn cannot_accept(&self, error: &io::Error) {
        const GONE: [io::ErrorKind; 2] = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset];
        if !GONE.contains(&error.kind()) {
            tracing::warn!(%error, "cannot accept connections");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Wall time as text; the part down to the second is written once a second.
#[derive(Default)]
struct Clock {
    second: u64,
    /// `{"time":"2026-11-21T09:30:00.`
    text: Vec<u8>,
}

impl Clock {
    fn write(&mut self, line: &mut Vec<u8>) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if now.as_secs() != self.second || self.text.is_empty() {
            self.second = now.as_secs();
            let second = i64::try_from(self.second).ok().and_then(|s| jiff::Timestamp::from_second(s).ok()).unwrap_or_default();
            self.text = format!("{{\"time\":\"{}.", second.to_string().trim_end_matches('Z')).into_bytes();
        }
        let millis = now.subsec_millis();
        let digit = |value: u32| b'0' + (value % 10) as u8;
        line.extend_from_slice(&self.text);
        line.extend_from_slice(&[digit(millis / 100), digit(millis / 10), digit(millis), b'Z', b'"']);
    }
}

/// Ids that no two requests share: random per start and worker, then counted.
struct RequestIds {
    prefix: [u8; 16],
    next: u64,
    /// Ids are slices of this, so that one costs no allocation.
    block: BytesMut,
}

impl RequestIds {
    const LENGTH: usize = 28;
    const BLOCK: usize = 128;

    fn new(index: usize) -> Self {
        let mut random = crate::crypto::random::<8>();
        random[7] = index.to_le_bytes()[0];
        let mut prefix = [0; 16];
        prefix.copy_from_slice(crate::crypto::hex(&random).as_bytes());
        Self { prefix, next: 0, block: BytesMut::new() }
    }

    fn next(&mut self) -> HeaderValue {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        if self.block.capacity() < Self::LENGTH {
            self.block = BytesMut::with_capacity(Self::LENGTH * Self::BLOCK);
        }
        self.block.put_slice(&self.prefix);
        for nibble in (0..12).rev() {
            self.block.put_u8(HEX[(self.next >> (4 * nibble) & 15) as usize]);
        }
        self.next += 1;
        let id: Bytes = self.block.split().freeze();
        let mut id = HeaderValue::from_maybe_shared(id).expect("invariant: hexadecimal digits are a header value");
        // Not a secret, but HPACK would push it into the table of repeated fields, and it never repeats.
        id.set_sensitive(true);
        id
    }
}
