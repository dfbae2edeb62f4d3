//! One client's connection: what its requests share, and how long it may keep us waiting.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use super::authority::Authority;
use super::deadline::Deadline;
use super::headers::Forwarded;
use super::tunnel::Tunnel;
use super::worker::Worker;

/// How long an idle connection may still begin a request once the worker drains: one that is under way to us
/// is answered (and told to close) instead of being cut.
const LAST_CALL: Duration = Duration::from_secs(2);

pub(super) struct Client {
    pub worker: Rc<Worker>,
    pub address: IpAddr,
    /// For the log.
    pub name: Box<str>,
    pub secure: bool,
    /// The name that the TLS handshake asked for, in lower case (RFC 6066 §3).
    sni: OnceCell<Box<str>>,
    http2: Cell<bool>,
    /// Handshake, head, keep-alive or body: whatever the client owes us next.
    watch: Deadline,
    /// A head is begun and not complete.
    in_head: Cell<bool>,
    /// Requests in flight.
    active: Cell<u32>,
    /// It will send nothing more; the task that waits for the answers to be out.
    hung_up: OnceCell<Waker>,
    /// Made for the host of the request before, which is nearly always that of the next.
    forwarded: RefCell<Option<Rc<Forwarded>>>,
    is_tunnel: Cell<bool>,
    /// The backend's side of an agreed upgrade, until hyper has let go of the client's.
    tunnel: RefCell<Option<Tunnel>>,
}

impl Client {
    pub(super) fn new(worker: Rc<Worker>, peer: SocketAddr, secure: bool) -> Rc<Self> {
        let address = peer.ip().to_canonical();
        let watch = worker.deadlines.deadline();
        let timeouts = &worker.settings.timeouts;
        watch.set(if secure { timeouts.handshake } else { timeouts.header });
        let counters = worker.counters();
        counters.connections.add(1);
        counters.connections_open.add(1);
        worker.clients.set(worker.clients.get() + 1);
        Rc::new(Self {
            worker,
            address,
            name: address.to_string().into(),
            secure,
            sni: OnceCell::new(),
            http2: Cell::new(false),
            watch,
            in_head: Cell::new(true),
            active: Cell::new(0),
            hung_up: OnceCell::new(),
            forwarded: RefCell::default(),
            is_tunnel: Cell::new(false),
            tunnel: RefCell::default(),
        })
    }

    pub(super) fn asked_for(&self, name: Option<&str>) {
        if let Some(name) = name {
            self.sni.get_or_init(|| name.into());
        }
    }

    pub(super) fn sni(&self) -> Option<&str> {
        self.sni.get().map(AsRef::as_ref)
    }

    /// The handshake is done; the first head is due.
    pub(super) fn speaks(&self, http2: bool) {
        self.http2.set(http2);
        self.watch.set(self.worker.settings.timeouts.header);
    }

    pub(super) fn is_http2(&self) -> bool {
        self.http2.get()
    }

    /// Whether the client kept us waiting for too long.
    pub(super) fn is_late(&self, cx: &Context<'_>) -> bool {
        self.watch.expired(cx)
    }

    pub(super) fn head_begins(&self) {
        if self.active.get() == 0 && !self.in_head.replace(true) {
            self.watch.set(self.worker.settings.timeouts.header);
        }
    }

    pub(super) fn request_begins(&self) {
        self.active.set(self.active.get() + 1);
        self.in_head.set(false);
        if self.hung_up.get().is_some() {
            self.watch.set(self.worker.settings.timeouts.hung_up);
        } else {
            self.watch.clear();
        }
    }

    /// The client takes the response. One request at a time, so one that stands still can be seen.
    pub(super) fn takes_response(&self) {
        if !self.http2.get() {
            self.watch.set(self.worker.settings.timeouts.body);
        }
    }

    /// It has ended its sending side, but may wait for an answer. If nothing is sent to it soon it is taken to be gone;
    /// if something is, one who is gone makes that fail.
    pub(super) fn hangs_up(&self, task: &Waker) {
        if self.hung_up.set(task.clone()).is_ok() {
            self.watch.set(self.worker.settings.timeouts.hung_up);
        }
    }

    pub(super) fn request_ended(&self) {
        self.active.set(self.active.get().saturating_sub(1));
        if self.active.get() == 0 && !self.is_tunnel.get() {
            let draining = self.worker.draining.get();
            self.watch.set(if draining { LAST_CALL } else { self.worker.settings.timeouts.keep_alive });
            if let Some(task) = self.hung_up.get() {
                task.wake_by_ref();
            }
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.active.get() == 0
    }

    /// The worker drains: an idle client gets a last chance to speak.
    pub(super) fn last_call(&self) {
        if self.is_idle() && !self.is_tunnel.get() {
            self.watch.set(LAST_CALL);
        }
    }

    pub(super) fn malformed(&self) {
        self.worker.counters().malformed.add(1);
    }

    pub(super) fn forwarded(&self, authority: Option<Authority<'_>>) -> Rc<Forwarded> {
        let whole = authority.map_or("", |authority| authority.whole);
        let mut cached = self.forwarded.borrow_mut();
        match &*cached {
            Some(forwarded) if forwarded.host.as_bytes() == whole.as_bytes() => Rc::clone(forwarded),
            _ => {
                let port = authority.and_then(|a| a.port).unwrap_or(if self.secure { "443" } else { "80" });
                Rc::clone(cached.insert(Rc::new(Forwarded::new(self.address, self.secure, whole, port))))
            }
        }
    }

    pub(super) fn is_tunnel(&self) -> bool {
        self.is_tunnel.get()
    }

    /// The next thing on this connection is the tunnel.
    pub(super) fn upgrade(&self, tunnel: Tunnel) {
        self.is_tunnel.set(true);
        *self.tunnel.borrow_mut() = Some(tunnel);
    }

    pub(super) fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.take()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.worker.counters().connections_open.subtract(1);
        self.worker.client_left();
    }
}
