//! What somebody counts on, though nothing in the store says so yet: the blobs of an image whose manifest is still
//! to come.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use crate::names::Digest;

/// A client that asks whether a layer is there names it in a manifest later, at most so long after its last word.
pub const GRACE: Duration = Duration::from_secs(3600);

#[derive(Default)]
pub struct Counted {
    /// When blobs were last asked for.
    asked: HashMap<Digest, Instant>,
    busy: Option<Busy>,
}

/// A time in which there never was an hour without a piece of an upload.
struct Busy {
    since: Instant,
    last: Instant,
}

impl Counted {
    /// Somebody counts on this blob from now on.
    pub fn ask(&mut self, digest: &Digest) {
        self.asked.insert(digest.clone(), Instant::now());
    }

    /// Something is coming in.
    pub fn upload(&mut self) {
        let now = Instant::now();
        let since = self.busy.as_ref().filter(|busy| now.duration_since(busy.last) < GRACE).map_or(now, |busy| busy.since);
        self.busy = Some(Busy { since, last: now });
    }

    /// What must not be collected: these blobs, and all that is younger than so long. An image may take longer than
    /// `grace` to come in: what came since the uploads that go on began belongs to them.
    pub fn spared(&mut self, grace: Duration) -> (BTreeSet<Digest>, Duration) {
        let now = Instant::now();
        let busy = self.busy.as_ref().filter(|busy| now.duration_since(busy.last) < grace);
        let age = grace + busy.map_or(Duration::ZERO, |busy| now.duration_since(busy.since));
        self.asked.retain(|_, at| now.duration_since(*at) < age);
        (self.asked.keys().cloned().collect(), age)
    }
}
