//! The API as its clients see it: real sockets, a real store, no Docker Engine.

mod audit;
mod changes;
mod description;
mod engine;
mod events;
mod logs;
mod looks;
mod server;
mod sockets;
mod trust;
