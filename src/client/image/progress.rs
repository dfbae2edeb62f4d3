//! How far an upload is: counted by all its workers, shown by one.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::client::error::ClientError;
use crate::client::output::Output;
use crate::client::patience::in_words;
use crate::error::chain;
use crate::term::{self, Spinner};

/// Between two looks on a terminal, and between two lines elsewhere.
const FRAME: Duration = Duration::from_millis(250);
const LINE: Duration = Duration::from_secs(5);

/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Progress(Arc<Counters>);

#[derive(Default)]
struct Counters {
    sent: AtomicU64,
}

impl Progress {
    /// So many bytes more are on the line.
    pub fn sent(&self, bytes: u64) {
        self.0.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn total(&self) -> u64 {
        self.0.sent.load(Ordering::Relaxed)
    }

    /// Shows bytes and rate until it is dropped, to whoever waits.
    pub async fn show(&self, what: &str, output: Option<&Output>) -> Infallible {
        let Some(output) = output else { return std::future::pending().await };
        let began = Instant::now();
        let spinner = (output.terminal.progress && output.is_alone()).then(|| Spinner::start(what));
        let pause = if spinner.is_some() { FRAME } else { LINE };
        loop {
            tokio::time::sleep(pause).await;
            let sent = self.total();
            let rate = sent as f64 / began.elapsed().as_secs_f64();
            let text = format!("{what}: {}, {}/s", size(sent), size(rate as u64));
            match &spinner {
                Some(spinner) => spinner.wait_for(&text),
                None => output.words(&format!("  {text}")),
            }
        }
    }
}

/// Tells why nothing happens for a while.
pub fn interrupted(error: &ClientError, delay: Duration) {
    term::words(&format!("  {}; going on in {}", chain(error), in_words(delay)));
}

/// `0 B`, `12.3 MB`: decimal units, as networks and disks have them.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_people_read_them() {
        let shown = [0, 999, 1000, 12_345_678, 999_960_000, 5_000_000_000].map(size);
        assert_eq!(shown, ["0 B", "999 B", "1.0 kB", "12.3 MB", "1.0 GB", "5.0 GB"]);
    }
}
