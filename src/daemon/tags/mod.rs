//! The tags of an image in its own registry: where the versions are of apps that keep no images on the server.
//!
//! Two parts: [`registry`] asks, [`versions`] chooses and orders what was answered. Nothing is pulled here; that is the
//! engine's business.

mod registry;
mod versions;

pub use registry::{TagsError, list};
pub use versions::newest;
