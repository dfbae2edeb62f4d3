//! The only folder that talks to the Docker Engine.
//!
//! A concrete struct over our own types: no trait, no type of the client library outside. Every
//! changing call is idempotent, because the reconcile loop repeats what it is not sure of.

pub mod types;

pub use types::*;
