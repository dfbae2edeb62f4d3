//! One backend as one worker sees it: its idle connections, what is in flight, and how it behaves.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use super::counters::{BackendCounters, PerWorker};
use super::link::Link;
use super::snapshot::BackendId;

/// So many failures in a row, and the backend is left out for a while.
const FAILURES: u32 = 3;
/// The first time for a second, then doubled up to 2⁵.
const EJECTION: u64 = 1000;
const LONGEST_EJECTION: u32 = 5;
/// A request that cannot be sent twice takes only connections that were used this recently: no common
/// server closes its end so soon.
const FRESH: u64 = 1000;

pub(super) struct Upstream {
    pub id: BackendId,
    pub address: SocketAddr,
    /// The address as text, for the log.
    pub name: Box<str>,
    worker: usize,
    counters: PerWorker<BackendCounters>,
    /// The most recently used is last.
    #[expect(clippy::vec_box, reason = "a link moves with every request, and is large")]
    idle: RefCell<Vec<Box<Link>>>,
    idle_most: usize,
    /// It is in no table any more.
    retired: Cell<bool>,
    /// Where its id is reached now; here nobody will answer any more.
    successor: OnceCell<Rc<Self>>,
    failures: Cell<u32>,
    ejections: Cell<u32>,
    ejected_until: Cell<u64>,
}

/// Counts a request, or the tunnel that it became, as in flight until it is dropped.
pub(super) struct Flight(pub Rc<Upstream>);

impl Upstream {
    pub(super) fn new(
        id: BackendId,
        address: SocketAddr,
        worker: usize,
        counters: PerWorker<BackendCounters>,
        idle_most: usize,
    ) -> Rc<Self> {
        Rc::new(Self {
            id,
            address,
            name: address.to_string().into(),
            worker,
            counters,
            idle: RefCell::default(),
            idle_most,
            retired: Cell::new(false),
            successor: OnceCell::new(),
            failures: Cell::new(0),
            ejections: Cell::new(0),
            ejected_until: Cell::new(0),
        })
    }

    pub(super) fn counters(&self) -> &BackendCounters {
        &self.counters[self.worker]
    }

    /// An idle connection; `replayable` tells whether the request could be sent again if it turns out to be dead.
    pub(super) fn take_idle(&self, now: u64, replayable: bool) -> Option<Box<Link>> {
        let link = self.idle.borrow_mut().pop()?;
        let idle = now.saturating_sub(link.idle_since);
        if Duration::from_millis(idle) >= link.idle_limit {
            // The others have been idle for longer.
            drop(self.idle.take());
            return None;
        }
        if !replayable && idle > FRESH {
            self.idle.borrow_mut().push(link);
            return None;
        }
        Some(link)
    }

    /// Keeps a connection whose exchange is over, if it can carry another.
    pub(super) fn give_back(&self, mut link: Box<Link>, now: u64) {
        if !self.retired.get() && link.rest() {
            link.reused = true;
            link.idle_since = now;
            let mut idle = self.idle.borrow_mut();
            if idle.len() < self.idle_most {
                idle.push(link);
            }
        }
    }

    /// Closes connections that were idle for too long or that the backend closed.
    pub(super) fn sweep(&self, now: u64) {
        let mut links = self.idle.take();
        links.retain_mut(|link| Duration::from_millis(now.saturating_sub(link.idle_since)) < link.idle_limit && link.is_open());
        // Nobody runs between the take and this: there is no await.
        *self.idle.borrow_mut() = links;
    }

    /// Nothing here needs to be looked at.
    pub(super) fn is_quiet(&self) -> bool {
        self.idle.borrow().is_empty()
    }

    /// It left the table: requests in flight go on, idle connections are closed now.
    pub(super) fn retire(&self) {
        self.retired.set(true);
        drop(self.idle.take());
    }

    /// It left the table because its id has another address. Whoever waits for it must be woken to learn that.
    pub(super) fn move_to(&self, successor: &Rc<Self>) {
        let _ = self.successor.set(Rc::clone(successor));
    }

    pub(super) fn successor(&self) -> Option<&Rc<Self>> {
        self.successor.get()
    }

    pub(super) fn succeeded(&self) {
        self.failures.set(0);
        self.ejections.set(0);
    }

    pub(super) fn failed(&self, now: u64) {
        self.counters().errors.add(1);
        let failures = self.failures.get() + 1;
        self.failures.set(failures);
        if failures >= FAILURES {
            let times = self.ejections.get();
            self.ejections.set(times + 1);
            self.failures.set(0);
            self.ejected_until.set(now + (EJECTION << times.min(LONGEST_EJECTION)));
            self.counters().ejections.add(1);
            drop(self.idle.take());
        }
    }

    pub(super) fn is_ejected(&self, now: u64) -> bool {
        self.ejected_until.get() > now
    }
}

impl Flight {
    pub(super) fn begin(upstream: Rc<Upstream>) -> Self {
        upstream.counters().in_flight.add(1);
        Self(upstream)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.counters().in_flight.subtract(1);
    }
}
