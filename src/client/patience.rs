//! How long a server that is away is waited for, and how often it is tried.

use std::time::Duration;

use tokio::time::Instant;

const FIRST_DELAY: Duration = Duration::from_millis(500);
const LONGEST_DELAY: Duration = Duration::from_secs(60);
/// Without any word from the server for so long, waiting is over.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// Delays between attempts: they double up to a minute, and begin anew when the server was heard.
pub struct Patience {
    delay: Duration,
    limit: Duration,
    heard: Instant,
}

impl Patience {
    pub fn new() -> Self {
        Self { delay: FIRST_DELAY, limit: LIMIT, heard: Instant::now() }
    }

    /// The server said something.
    pub fn heard(&mut self) {
        *self = Self::new();
    }

    /// How long to wait before the next attempt; `None` when it is time to give up.
    pub fn next(&mut self) -> Option<Duration> {
        let delay = self.delay;
        self.delay = (delay * 2).min(LONGEST_DELAY);
        (self.heard.elapsed() < self.limit).then_some(delay)
    }

    /// After how many minutes of silence `next` gives up.
    pub fn minutes() -> u64 {
        LIMIT.as_secs() / 60
    }
}

/// `500 ms`, `4 s`.
pub fn in_words(delay: Duration) -> String {
    if delay < Duration::from_secs(1) { format!("{} ms", delay.as_millis()) } else { format!("{} s", delay.as_secs()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_a_minute_and_begin_anew() {
        let mut patience = Patience::new();
        let delays: Vec<u128> = (0..9).filter_map(|_| patience.next()).map(|delay| delay.as_millis()).collect();
        assert_eq!(delays, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        patience.heard();
        assert_eq!(patience.next().map(in_words).as_deref(), Some("500 ms"));
        assert_eq!(Patience { limit: Duration::ZERO, ..Patience::new() }.next(), None);
    }
}
