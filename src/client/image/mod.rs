//! Images on their way from a Dockerfile to the servers that run them.
//!
//! ```text
//! recipe ─► build ─► docker build ─► id ─┬─► save ─► archive ─► spool ─► upload ─► the server's registry   Pin::Uploaded
//!        │                               └─► push ─► the image's registry                                 Pin::Pushed
//!        └─► remote ─► context ─► the server's engine                                                     Pin::Built
//! ```
//!
//! Everything that concerns the engine of this machine goes through the user's own `docker` program, so that contexts,
//! builders and credential helpers are those that the user has; no shell, and no value in its arguments. An image
//! is read once, however many servers get it, and never whole into memory.

mod archive;
mod build;
mod context;
mod docker;
mod dockerfile;
mod error;
mod ignore;
mod known_layers;
mod manifest;
mod progress;
mod provide;
mod push;
mod recipe;
mod remote;
mod spool;
mod transfer;
mod upload;

pub use error::ImageError;
pub use progress::size;
pub use provide::{Provided, Provider, Wanted, check, provide};
