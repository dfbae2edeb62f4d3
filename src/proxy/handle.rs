//! The control plane's end of the proxy: it starts the workers, hands them tables, and ends them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use tokio::sync::watch;

use super::counters::Registry;
use super::error::ProxyError;
use super::listeners::Listeners;
use super::settings::Settings;
use super::snapshot::{BackendId, Snapshot};
use super::worker::{self, Edition, Order, Ports, Start};
use super::{access_log, metrics, tls};

/// A running proxy. Dropping it without [`Proxy::stop`] ends the workers at once.
pub struct Proxy {
    listeners: Listeners,
    registry: Arc<Registry>,
    editions: watch::Sender<Arc<Edition>>,
    orders: watch::Sender<Order>,
    adopted: Arc<[AtomicU64]>,
    workers: Vec<JoinHandle<()>>,
    log_writer: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts the workers on these sockets. When it returns they serve `first`, or will within milliseconds.
    pub fn start(listeners: Listeners, settings: Settings, first: Arc<Snapshot>) -> Result<Self, ProxyError> {
        let count = settings.worker_count();
        let registry = Arc::new(Registry::new(count));
        let tls = Arc::new(tls::base()?);
        let (log, log_writer) = match settings.access_log.as_deref().map(access_log::start).transpose()? {
            Some((sender, writer)) => (Some(sender), Some(writer)),
            None => (None, None),
        };
        let (editions, _) = watch::channel(Arc::new(edition(&registry, 1, 0, first)));
        let (orders, _) = watch::channel(Order::Serve);
        let adopted = (0..count).map(|_| AtomicU64::new(0)).collect();
        let mut proxy = Self { listeners, registry, editions, orders, adopted, workers: Vec::new(), log_writer };
        for index in 0..count {
            let start = proxy.prepare(index, count, &settings, &tls, log.clone())?;
            proxy.workers.push(spawn(start)?);
        }
        Ok(proxy)
    }

    fn prepare(
        &self,
        index: usize,
        count: usize,
        settings: &Settings,
        tls: &Arc<rustls::ServerConfig>,
        log: Option<SyncSender<Vec<u8>>>,
    ) -> Result<Start, ProxyError> {
        // Sockets that were handed over may be more or fewer than the workers: every one is served by somebody.
        let sets = self.listeners.sets.len().max(1);
        let own = |at: usize| if sets >= count { at % count == index } else { index % sets == at };
        let mine = self.listeners.sets.iter().enumerate().filter(|(at, _)| own(*at));
        let listeners = mine.map(|(_, set)| set.duplicate()).collect::<Result<_, _>>().map_err(ProxyError::Thread)?;
        let port = |addresses: Vec<std::net::SocketAddr>| addresses.first().map(std::net::SocketAddr::port);
        Ok(Start {
            index,
            settings: settings.clone(),
            listeners,
            ports: Ports { http: port(self.listeners.http_addrs()), https: port(self.listeners.https_addrs()) },
            tls: Arc::clone(tls),
            registry: Arc::clone(&self.registry),
            editions: self.editions.subscribe(),
            orders: self.orders.subscribe(),
            adopted: Arc::clone(&self.adopted),
            log,
        })
    }

    /// Gives the workers a new table. Returns its generation; [`Proxy::adopted`] tells when all serve it.
    pub fn publish(&self, snapshot: Arc<Snapshot>) -> u64 {
        let (mut generation, adopted) = (0, self.adopted());
        self.editions.send_modify(|current| {
            generation = current.generation + 1;
            *current = Arc::new(edition(&self.registry, generation, adopted, snapshot));
        });
        generation
    }

    /// The lowest generation that a worker serves: no new request is routed by an older one.
    pub fn adopted(&self) -> u64 {
        self.adopted.iter().map(|generation| generation.load(Ordering::Acquire)).min().unwrap_or(0)
    }

    /// Requests and tunnels that the backend holds: from the choice of the backend until the response's body, or the
    /// upgraded connection, has ended.
    pub fn in_flight(&self, backend: &BackendId) -> u64 {
        self.registry.in_flight(backend)
    }

    /// Everything that is counted, as Prometheus text.
    pub fn metrics(&self) -> String {
        metrics::render(&self.registry)
    }

    /// Stops accepting, lets what is in flight finish, cuts what is left after `grace`. Blocks until the threads have ended.
    pub fn stop(mut self, grace: Duration) {
        // The workers hold handles of their own; without ours the last one that they close closes the socket.
        self.listeners.sets.clear();
        self.orders.send_replace(Order::Drain(grace));
        self.join();
    }

    fn join(&mut self) {
        for thread in self.workers.drain(..).chain(self.log_writer.take()) {
            if thread.join().is_err() {
                tracing::error!("a proxy thread panicked");
            }
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.orders.send_replace(Order::Drain(Duration::ZERO));
        self.join();
    }
}

fn edition(registry: &Registry, generation: u64, adopted: u64, snapshot: Arc<Snapshot>) -> Edition {
    let (routes, backends) = registry.enroll(&snapshot, generation, adopted);
    Edition { generation, snapshot, routes, backends }
}

fn spawn(start: Start) -> Result<JoinHandle<()>, ProxyError> {
    let run = move || {
        if let Err(error) = worker::run(start) {
            tracing::error!(%error, "a proxy worker could not start");
        }
    };
    Builder::new().name("haloy-proxy".to_owned()).spawn(run).map_err(ProxyError::Thread)
}
