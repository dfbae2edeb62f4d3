//! Monotonic time as the planner counts it.

use std::time::{Duration, Instant};

use super::reconcile::Millis;

/// Counts from the start of the process. Starts late enough that "long ago" can be expressed.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn now(self) -> Millis {
        Millis::try_from(self.0.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }

    /// How long until `at`; zero when it has passed.
    pub fn until(self, at: Millis) -> Duration {
        Duration::from_millis(at.saturating_sub(self.now()))
    }
}
