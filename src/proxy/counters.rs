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
    backends: Mutex<HashMap<BackendId, Enrolled>>,
}

#[derive(Debug)]
struct Enrolled {
    /// The last generation that named it: a worker that serves this one still may choose it.
    named_in: u64,
    counters: PerWorker<BackendCounters>,
}

fn per_worker<T: Default>(workers: usize) -> PerWorker<T> {
    (0..workers).map(|_| T::default()).collect()
}

impl Registry {
    pub(super) fn new(workers: usize) -> Self {
        Self { workers: per_worker(workers), routes: Mutex::default(), backends: Mutex::default() }
    }

    /// The counters of the snapshot's routes (in its order) and backends; forgets backends that are idle and that no worker
    /// can choose any more. `generation` is the snapshot's, `adopted` the oldest that a worker serves.
    pub(super) fn enroll(
        &self,
        snapshot: &Snapshot,
        generation: u64,
        adopted: u64,
    ) -> (Vec<PerWorker<RouteCounters>>, HashMap<BackendId, PerWorker<BackendCounters>>) {
        let count = self.workers.len();
        let mut routes = locked(&self.routes);
        let by_route =
            snapshot.routes.iter().map(|route| routes.entry(route.name.clone()).or_insert_with(|| per_worker(count)).clone()).collect();
        let mut backends = locked(&self.backends);
        let current: HashSet<BackendId> =
            snapshot.routes.iter().flat_map(|route| &route.groups).flat_map(|group| &group.backends).map(|b| b.id.clone()).collect();
        backends
            .retain(|id, known| current.contains(id) || known.named_in >= adopted || known.counters.iter().any(|c| c.in_flight.get() > 0));
        let by_backend = current.into_iter().map(|id| {
            let known = backends.entry(id.clone()).or_insert_with(|| Enrolled { named_in: generation, counters: per_worker(count) });
            known.named_in = generation;
            (id, known.counters.clone())
        });
        (by_route, by_backend.collect())
    }

    pub(super) fn in_flight(&self, backend: &BackendId) -> u64 {
        locked(&self.backends).get(backend).map_or(0, |known| known.counters.iter().map(|c| c.in_flight.get()).sum())
    }

    /// By name.
    pub(super) fn routes(&self) -> Vec<(String, PerWorker<RouteCounters>)> {
        locked(&self.routes).iter().map(|(name, counters)| (name.clone(), counters.clone())).collect()
    }

    pub(super) fn each_backend(&self, mut visit: impl FnMut(&BackendId, &[BackendCounters])) {
        let backends = locked(&self.backends);
        let mut sorted: Vec<_> = backends.iter().collect();
        sorted.sort_by_key(|(id, _)| *id);
        for (id, known) in sorted {
            visit(id, &known.counters);
        }
    }
}

/// Counters stay meaningful whatever a panicking holder did with the map.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::snapshot::{Backend, Group, Policy, Route};
    use super::*;

    fn with(ids: &[&str]) -> Snapshot {
        let backend = |id: &&str| Backend { id: BackendId((*id).into()), address: ([127, 0, 0, 1], 80).into() };
        let policy = Policy { redirect_to_https: false, response_timeout: Duration::ZERO, ..Policy::default() };
        let groups = vec![Group { weight: 1, backends: ids.iter().map(backend).collect() }];
        let route = Route { name: "shop".to_owned(), hosts: Vec::new(), path_prefix: "/".to_owned(), policy, groups };
        Snapshot { routes: vec![route], ..Snapshot::default() }
    }

    #[test]
    fn a_backend_is_forgotten_when_nobody_can_choose_it_and_nothing_is_in_flight() {
        let (registry, old) = (Registry::new(2), BackendId("old".into()));
        let (_, backends) = registry.enroll(&with(&["old"]), 1, 0);
        let names = || {
            let mut names = Vec::new();
            registry.each_backend(|id, _| names.push(id.0.to_string()));
            names
        };
        // A worker still serves the first table when the third is made: what it begins is seen.
        registry.enroll(&with(&["new"]), 2, 1);
        registry.enroll(&with(&["new"]), 3, 1);
        backends[&old][1].in_flight.add(1);
        assert_eq!(registry.in_flight(&old), 1);
        registry.enroll(&with(&["new"]), 4, 3);
        assert_eq!(names(), ["new", "old"]);
        backends[&old][1].in_flight.subtract(1);
        registry.enroll(&with(&["new"]), 5, 4);
        assert_eq!(names(), ["new"]);
    }
}
