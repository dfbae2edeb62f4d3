//! The data plane: domains, addresses and certificates in, requests through. It knows nothing of
//! apps, Docker or the daemon, and nothing it does waits for them.

pub mod snapshot;

pub use snapshot::*;
