//! Counts the requests in flight, so that a stop can wait for the last of them.

use std::sync::atomic::{AtomicUsize, Ordering};

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// One request in flight, until it is dropped.
pub struct InFlight(());

impl InFlight {
    pub fn begin() -> Self {
        COUNT.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::SeqCst);
    }
}

pub fn count() -> usize {
    COUNT.load(Ordering::SeqCst)
}
