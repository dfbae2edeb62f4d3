//! When each token was used last, for whoever wonders which are needed: kept in a file that `haloyadm api tokens` reads.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::config::tokens::LastUses;
use crate::error::chain;

/// Written so often at most.
const TICK: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub struct Uses(Mutex<Noted>);

#[derive(Debug, Default)]
struct Noted {
    uses: LastUses,
    is_new: bool,
}

impl Uses {
    /// The token of this id is used now.
    pub fn note(&self, id: &str) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.uses.note(id, Timestamp::now());
        noted.is_new = true;
    }

    /// Writes them to the data directory until `stop`, and then once more.
    pub async fn run(&self, data: &Path, stop: CancellationToken) {
        loop {
            let stopped = tokio::time::timeout(TICK, stop.cancelled()).await.is_ok();
            let noted = {
                let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                std::mem::take(&mut noted.is_new).then(|| noted.uses.clone())
            };
            if let Some(uses) = noted {
                let data = data.to_owned();
                match tokio::task::spawn_blocking(move || uses.add_to(&data)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::warn!(error = chain(&error), "the last uses of tokens could not be written"),
                    Err(error) => tracing::error!(%error, "the last uses of tokens could not be written"),
                }
            }
            if stopped {
                return;
            }
        }
    }
}
