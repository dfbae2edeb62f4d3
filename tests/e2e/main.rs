//! End to end: the real binary, a real Docker Engine, real clients.

#[path = "../support/app.rs"]
mod app;
#[path = "../support/haloyd.rs"]
mod haloyd;

mod basics;
