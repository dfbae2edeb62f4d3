//! The only folder that talks to the Docker Engine.
//!
//! A concrete struct over our own types: no trait, no type of the client library outside. Every
//! changing call is idempotent, because the reconcile loop repeats what it is not sure of. Every call
//! has a deadline of its own class, and a look that failed is an error, never an empty world.
//!
//! What belongs to us says so in its labels ([`labels`]); `dev.haloy.instance` keeps several daemons on
//! one engine apart. This folder decides nothing: which container should run is the planner's business.
//! It must never change what is not labelled ours.

mod build;
mod connection;
mod containers;
mod create;
mod error;
mod events;
mod exec;
#[cfg(all(test, unix))]
mod fake;
mod host;
mod images;
pub mod labels;
mod listed;
mod login;
mod logs;
mod naming;
mod networks;
mod one_off;
mod pull;
mod sockets;
pub mod types;
mod volumes;

pub use connection::Docker;
pub use error::DockerError;
pub use types::*;
