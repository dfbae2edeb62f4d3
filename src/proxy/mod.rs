//! The data plane: domains, addresses and certificates in, requests through. It knows nothing of
//! apps, Docker or the daemon, and nothing it does waits for them.
//!
//! ```text
//! control plane                      worker threads, one per core
//! Proxy ── publish(Snapshot) ─watch─► Table, TLS certificates          (immutable, replaced whole)
//!   ▲                                 listeners ─► connection ─► gate ─► hyper ─► forward
//!   │                                                                              │
//!   └── in_flight, metrics ◄─ counters ◄── exchange ◄── body ◄── link ◄── upstream ◄┘
//! ```
//!
//! - A worker owns its sockets, pools, deadlines and counters; a request touches no lock and no
//!   memory that another thread writes.
//! - A connection's task drives both sockets: a request wakes no other task.
//! - What two parsers could read differently is refused ([`framing`]), never passed on.
//! - Bodies are streamed with back-pressure, never collected.
//! - A request is sent again only when nothing of it can have had an effect.
//!
//! Reading order: `snapshot`, `handle`, `worker`, `connection`, `forward`, `exchange`, `link`, `body`.

mod access_log;
mod authority;
mod body;
mod certificate;
mod client;
mod connection;
mod counters;
mod deadline;
mod error;
mod exchange;
mod fault;
mod forward;
mod framing;
mod gate;
mod handle;
mod headers;
mod link;
mod listeners;
mod log_line;
mod metrics;
mod settings;
pub mod snapshot;
mod socket;
mod table;
#[cfg(test)]
mod tests;
mod tls;
mod tunnel;
mod upstream;
mod worker;

pub use certificate::{from_pem, self_signed};
pub use error::ProxyError;
pub use handle::Proxy;
pub use headers::INTRODUCTION;
pub use listeners::Listeners;
pub use settings::Settings;
pub use snapshot::*;
