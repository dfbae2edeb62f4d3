//! Counters that one worker writes and anybody may read.
//!
//! Each worker has its own, so adding is a plain load and store, never a locked instruction, and no
//! two workers share a cache line. Readers sum over the workers.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::snapshot::{BackendId, Snapshot};

/// A number with one writing thread.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, amount: u64) {
        self.0.store(self.get().wrapping_add(amount), Ordering::Relaxed);
    }

    pub(super) fn subtract(&self, amount: u64) {
        self.0.store(self.get().wrapping_sub(amount), Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a worker counts about itself.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct WorkerCounters {
    pub connections: Count,
    pub connections_open: Count,
    pub handshakes_failed: Count,
    pub malformed: Count,
    pub log_lines_dropped: Count,
    /// Requests that reached no route: unknown hosts and those refused before routing.
    pub unrouted: RouteCounters,
}

/// Upper bounds of the latency histogram's buckets, in microseconds; one more bucket is unbounded.
pub(super) const LATENCY_BOUNDS: [u64; 14] =
    [500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000, 60_000_000];

/// HTTP versions that are told apart, in the order of [`RouteCounters::requests`].
pub(super) const VERSIONS: [&str; 3] = ["1.0", "1.1", "2"];

/// What a worker counts about a route.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct RouteCounters {
    /// By version, then by the status's first digit minus one.
    pub requests: [[Count; 5]; 3],
    pub in_flight: Count,
    pub bytes_in: Count,
    pub bytes_out: Count,
    pub latency: [Count; LATENCY_BOUNDS.len() + 1],
    pub latency_sum: Count,
}

impl RouteCounters {
    /// Counts a finished request; `took` in microseconds.
    pub(super) fn finished(&self, version: usize, status: u16, took: u64) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.requests[version][class].add(1);
        let bucket = LATENCY_BOUNDS.iter().position(|&bound| took <= bound).unwrap_or(LATENCY_BOUNDS.len());
        self.latency[bucket].add(1);
        self.latency_sum.add(took);
    }
}

/// What a worker counts about a backend.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct BackendCounters {
    pub in_flight: Count,
    pub connects: Count,
    pub errors: Count,
    pub retries: Count,
    pub ejections: Count,
}

/// One counter set per worker.
pub(super) type PerWorker<T> = Arc<[T]>;

/// All counters, kept across snapshots. Its locks are taken by the control plane alone.
#[derive(Debug)]
pub(super) struct Registry {
    pub workers: PerWorker<WorkerCounters>,
    routes: Mutex<BTreeMap<String, PerWorker<RouteCounters>>>,
    backends: Mutex<Backends>,
}

#[derive(Debug, Default)]
struct Backends {
    counters: HashMap<BackendId, PerWorker<BackendCounters>>,
    /// Those of the snapshot before: a worker that did not adopt the new one may still choose them.
    previous: HashSet<BackendId>,
}

fn per_worker<T: Default>(workers: usize) -> PerWorker<T> {
    (0..workers).map(|_| T::default()).collect()
}

impl Registry {
    pub(super) fn new(workers: usize) -> Self {
        Self { workers: per_worker(workers), routes: Mutex::default(), backends: Mutex::default() }
    }

    /// The counters of the snapshot's routes (in its order) and backends; forgets backends that are gone and idle.
    pub(super) fn enroll(&self, snapshot: &Snapshot) -> (Vec<PerWorker<RouteCounters>>, HashMap<BackendId, PerWorker<BackendCounters>>) {
        let count = self.workers.len();
        let mut routes = locked(&self.routes);
        let by_route =
            snapshot.routes.iter().map(|route| routes.entry(route.name.clone()).or_insert_with(|| per_worker(count)).clone()).collect();
        let mut backends = locked(&self.backends);
        let current: HashSet<BackendId> =
            snapshot.routes.iter().flat_map(|route| &route.groups).flat_map(|group| &group.backends).map(|b| b.id.clone()).collect();
        let previous = std::mem::replace(&mut backends.previous, current.clone());
        backends
            .counters
            .retain(|id, counters| current.contains(id) || previous.contains(id) || counters.iter().any(|c| c.in_flight.get() > 0));
        let by_backend =
            current.into_iter().map(|id| (id.clone(), backends.counters.entry(id).or_insert_with(|| per_worker(count)).clone())).collect();
        (by_route, by_backend)
    }

    pub(super) fn in_flight(&self, backend: &BackendId) -> u64 {
        locked(&self.backends).counters.get(backend).map_or(0, |counters| counters.iter().map(|c| c.in_flight.get()).sum())
    }

    /// By name.
    pub(super) fn routes(&self) -> Vec<(String, PerWorker<RouteCounters>)> {
        locked(&self.routes).iter().map(|(name, counters)| (name.clone(), counters.clone())).collect()
    }

    pub(super) fn each_backend(&self, mut visit: impl FnMut(&BackendId, &[BackendCounters])) {
        let backends = locked(&self.backends);
        let mut sorted: Vec<_> = backends.counters.iter().collect();
        sorted.sort_by_key(|(id, _)| *id);
        for (id, counters) in sorted {
            visit(id, counters);
        }
    }
}

/// Counters stay meaningful whatever a panicking holder did with the map.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
