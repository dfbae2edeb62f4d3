//! Ctrl-C, heard once for everything that is under way.

use std::cell::Cell;

use tokio_util::sync::CancellationToken;

/// Whether the user wants to leave. As long as nobody has waited for it, Ctrl-C ends the process by itself;
/// afterwards everything that may take long must wait for [`Interruption::happens`] as well.
#[derive(Default)]
pub struct Interruption {
    heard: CancellationToken,
    listening: Cell<bool>,
}

impl Interruption {
    /// Ready as soon as Ctrl-C was pressed or the process was asked to end, and from then on. Dropping the future loses nothing.
    pub async fn happens(&self) {
        if !self.listening.replace(true) {
            let heard = self.heard.clone();
            tokio::spawn(async move {
                if leave().await.is_ok() {
                    heard.cancel();
                }
            });
        }
        self.heard.cancelled().await;
    }

    pub fn happened(&self) -> bool {
        self.heard.is_cancelled()
    }
}

#[cfg(unix)]
async fn leave() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut end = signal(SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed,
        _ = end.recv() => Ok(()),
    }
}

#[cfg(not(unix))]
async fn leave() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
