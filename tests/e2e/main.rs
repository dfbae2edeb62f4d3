//! End to end: the real binary, a real Docker Engine, real clients.

#[path = "../support/app.rs"]
mod app;
#[path = "../support/engine.rs"]
mod engine;
#[path = "../support/haloyd.rs"]
mod haloyd;
#[path = "../support/load.rs"]
mod load;
#[path = "../support/visitors.rs"]
mod visitors;

mod basics;
mod changes;
mod engine_restart;
mod mishaps;
mod recovery;
mod strategies;
mod together;
