//! Deadlines for thousands of connections and requests without a timer for each.
//!
//! Setting or clearing one is a memory write; a tick every [`TICK`] wakes those that are due. They
//! are coarse on purpose (up to two ticks late, never early) and belong to one worker's thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

pub(super) const TICK: Duration = Duration::from_millis(100);
const NEVER: u64 = u64::MAX;

/// All deadlines of one worker.
pub(super) struct Deadlines {
    start: Instant,
    /// Milliseconds since `start`, as of the last tick.
    now: Cell<u64>,
    entries: RefCell<Vec<Entry>>,
    free: RefCell<Vec<usize>>,
    active: Cell<usize>,
    /// Wakes the ticker when there is something to tick for again.
    needed: Notify,
}

struct Entry {
    at: u64,
    waker: Option<Waker>,
}

/// One deadline, unset at first; its place is given back when it is dropped.
pub(super) struct Deadline {
    all: Rc<Deadlines>,
    key: usize,
}

impl Deadlines {
    pub(super) fn new() -> Rc<Self> {
        Rc::new(Self {
            start: Instant::now(),
            now: Cell::new(0),
            entries: RefCell::default(),
            free: RefCell::default(),
            active: Cell::new(0),
            needed: Notify::new(),
        })
    }

    pub(super) fn deadline(self: &Rc<Self>) -> Deadline {
        if self.active.replace(self.active.get() + 1) == 0 {
            self.refresh();
            self.needed.notify_one();
        }
        let mut entries = self.entries.borrow_mut();
        let key = self.free.borrow_mut().pop().unwrap_or(entries.len());
        let entry = Entry { at: NEVER, waker: None };
        match entries.get_mut(key) {
            Some(place) => *place = entry,
            None => entries.push(entry),
        }
        Deadline { all: Rc::clone(self), key }
    }

    /// Milliseconds since the worker began, as of the last tick.
    pub(super) fn now(&self) -> u64 {
        self.now.get()
    }

    /// Whether any deadline exists; while none does nobody needs to tick.
    pub(super) fn any(&self) -> bool {
        self.active.get() > 0
    }

    /// Resolves when a deadline exists.
    pub(super) async fn needed(&self) {
        while !self.any() {
            self.needed.notified().await;
        }
    }

    /// Wakes everybody whose deadline passed.
    pub(super) fn tick(&self) {
        let now = self.refresh();
        self.wake(|entry| entry.at <= now);
    }

    /// Wakes everybody, so that they see that the worker drains or that a backend moved.
    pub(super) fn wake_all(&self) {
        self.wake(|_| true);
    }

    fn wake(&self, due: impl Fn(&Entry) -> bool) {
        let mut entries = self.entries.borrow_mut();
        for waker in entries.iter_mut().filter(|entry| due(entry)).filter_map(|entry| entry.waker.take()) {
            waker.wake();
        }
    }

    fn refresh(&self) -> u64 {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(NEVER - 1);
        self.now.set(now);
        now
    }
}

impl Deadline {
    /// Due `after` from now.
    pub(super) fn set(&self, after: Duration) {
        let after = u64::try_from((after + TICK).as_millis()).unwrap_or(NEVER);
        self.put(self.all.now.get().saturating_add(after));
    }

    /// Never due.
    pub(super) fn clear(&self) {
        self.put(NEVER);
    }

    /// Whether it passed; if not, the task is woken when it does or when the worker drains.
    pub(super) fn expired(&self, cx: &Context<'_>) -> bool {
        let mut entries = self.all.entries.borrow_mut();
        let Some(entry) = entries.get_mut(self.key) else { return false };
        if entry.at <= self.all.now.get() {
            return true;
        }
        if !entry.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            entry.waker = Some(cx.waker().clone());
        }
        false
    }

    fn put(&self, at: u64) {
        if let Some(entry) = self.all.entries.borrow_mut().get_mut(self.key) {
            entry.at = at;
        }
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        // The old waker is dropped outside the borrow: it may own a task that owns a deadline.
        let waker = self.all.entries.borrow_mut().get_mut(self.key).and_then(|entry| {
            entry.at = NEVER;
            entry.waker.take()
        });
        drop(waker);
        self.all.free.borrow_mut().push(self.key);
        self.all.active.set(self.all.active.get() - 1);
    }
}
